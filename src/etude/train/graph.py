"""An epoch's steps as one CUDA graph, replayed: the host starts one thing a step, not hundreds.

Nakayama et al., "Accelerating PyTorch with CUDA Graphs",
https://pytorch.org/blog/accelerating-pytorch-with-cuda-graphs/: what is captured must be the same
operations on the same memory every time. So all that changes from step to step is held on the
device: the epoch's order and random numbers, its learning rates, and the place that it has reached.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from etude.base.errors import UserError
from etude.data.batch import Split
from etude.data.resident import Resident
from etude.train.cuda import Cuda
from etude.train.optim.follows import follows_device
from etude.train.state import State
from etude.train.step import Step

# Real steps done before the capture, in which libraries choose their kernels and optimizers make
# what they keep; cuDNN's choice by timing takes the first, the rest is PyTorch's recommendation.
WARM_UP_STEPS = 3


@dataclass
class Epoch:
    """What an epoch's steps read and move on, at addresses that stay for the whole run.

    Attributes:
        images: The split that batches are gathered from.
        batch_size: Images in a batch, the last one apart.
        order: (n,) int64, places in the split.
        draws: (n, K), the images' random numbers; None without augmentation.
        rates: (steps,) the learning rate of every step.
        step: (1,) int64, steps done.
        lr: () the rate in use, which the optimizer reads.
    """

    images: Resident
    batch_size: int
    order: Tensor
    draws: Tensor | None
    rates: Tensor
    step: Tensor
    lr: Tensor

    @classmethod
    def of(cls, state: State, images: Resident, seed: int, batch_size: int) -> "Epoch":
        """Hold the epoch under way."""
        return cls(
            images=images,
            batch_size=batch_size,
            order=images.order(seed, state.epoch),
            draws=images.draws(seed, state.epoch),
            rates=_rates(state).to(state.device),
            step=torch.tensor([state.step], device=state.device),
            lr=torch.zeros((), device=state.device),
        )

    def begin(self, state: State, seed: int) -> None:
        """Become the epoch under way, in place."""
        self.order.copy_(self.images.order(seed, state.epoch))
        draws = self.images.draws(seed, state.epoch)
        if self.draws is not None and draws is not None:
            self.draws.copy_(draws)
        self.rates.copy_(_rates(state))
        self.step.fill_(state.step)


def _rates(state: State) -> Tensor:
    first = state.epoch * state.steps
    rates = [state.schedule.lr_at(first + step) for step in range(state.steps)]
    return torch.tensor(rates, dtype=torch.float32)


def whole_step(epoch: Epoch, step: Step, state: State, images: int) -> None:
    """Gather and augment the next images, learn from them, and move on: all of it on the device.

    Args:
        epoch: Says which images are next.
        step: Forward, backward and update.
        state: Its losses and counts are written.
        images: How many images the batch has.
    """
    first = epoch.step * epoch.batch_size
    part = epoch.order.index_select(0, first + torch.arange(images, device=first.device))
    batch = epoch.images.batch(part, epoch.draws)
    epoch.lr.copy_(epoch.rates.index_select(0, epoch.step).squeeze(0))
    result = step(batch.images, batch.labels)
    state.losses.index_copy_(0, epoch.step, result.loss.view(1))
    state.correct.index_copy_(0, epoch.step, result.correct.view(1))
    epoch.step += 1


class CannotCapture(UserError):  # noqa: N818 (what it says)
    """A run's steps cannot be captured; none is lost, and they can be done eagerly from here on.

    Args:
        reason: Why, in words.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"train.step=graph cannot capture this run: {reason}; train.step=auto does it eagerly"
        )
        self.reason = reason


class Captured:
    """Carry out an epoch's steps as replays of one captured graph.

    The first steps after a start or a resume, and an epoch's smaller last one, are done eagerly: by
    the same operations, so they are steps like all others. In the last of the first ones, what a
    graph cannot hold is looked for.

    Args:
        step: What is done with each batch.
        cuda: What runs and captures it.
    """

    def __init__(self, step: Step, cuda: Cuda | None = None) -> None:
        self._step = step
        self._cuda = cuda or Cuda()
        self._epoch: Epoch | None = None
        self._replay: Callable[[], None] | None = None
        self._eager_steps = 0
        self._refusal = ""

    def begin(self, state: State, images: Split, *, seed: int, batch_size: int) -> None:
        """Take up what is left of the epoch under way.

        Raises:
            CannotCapture: The images are not on the device, or what there is cannot be captured.
        """
        if not isinstance(images, Resident):
            raise CannotCapture("its images are streamed; set dataset.stream=false")
        if state.scaler.is_enabled():
            raise CannotCapture("float16's scaling looks at the gradients; set precision=bfloat16")
        if not follows_device(state.optimizer):
            name = type(state.optimizer).__name__
            raise CannotCapture(f"{name} does not say that it can be, by taking `capturable`")
        if self._epoch is None:
            self._epoch = Epoch.of(state, images, seed, batch_size)
        else:
            self._epoch.begin(state, seed)
        for group in state.optimizer.param_groups:
            group["lr"] = self._epoch.lr  # a loaded checkpoint brings its own

    def advance(self, state: State) -> None:
        """Do the next step, and note what it saw.

        Raises:
            CannotCapture: It cannot be captured; it has not been done.
        """
        epoch = self._epoch
        assert epoch is not None, "begin comes first"  # noqa: S101
        size = min(epoch.batch_size, len(epoch.images) - state.step * epoch.batch_size)
        do = partial(whole_step, epoch, self._step, state, size)
        if size < epoch.batch_size:
            self._cuda.aside(do, state.device)
        elif self._eager_steps < WARM_UP_STEPS:
            self._warm_up(do, state)
        else:
            if self._replay is None:
                self._replay = self._capture(do)
            self._replay()
        state.step_done()

    def _warm_up(self, do: Callable[[], None], state: State) -> None:
        """Do a step eagerly; in the last one, look for what a graph would not repeat."""
        self._eager_steps += 1
        if self._eager_steps < WARM_UP_STEPS:
            self._cuda.aside(do, state.device)
            return
        before = _on_host(state.model)
        waits = self._cuda.waits(lambda: self._cuda.aside(do, state.device))
        if waits:
            self._refusal = f"the host waits for the device at {', '.join(dict.fromkeys(waits))}"
        elif changed := [
            key for key, value in _on_host(state.model).items() if before.get(key) != value
        ]:
            self._refusal = f"{changed[0]} changes with every step, on the host"

    def _capture(self, do: Callable[[], None]) -> Callable[[], None]:
        """Record the step; nothing is computed yet."""
        if self._refusal:
            raise CannotCapture(self._refusal)
        try:
            return self._cuda.capture(do)
        except RuntimeError as error:
            raise CannotCapture(_first_line(error)) from error


def _on_host(model: nn.Module) -> dict[str, float]:
    """Give the numbers that a network's layers hold on the host, such as a count of steps."""
    return {
        f"{name}.{key}".lstrip("."): value
        for name, module in model.named_modules()
        for key, value in vars(module).items()
        if isinstance(value, int | float)
    }


def _first_line(error: BaseException) -> str:
    """Say what went wrong first: ending a capture that has failed fails again."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error).strip().partition("\n")[0]
