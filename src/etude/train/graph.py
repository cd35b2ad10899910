"""An epoch's steps as one CUDA graph, replayed: the host starts one thing a step, not hundreds.

Nakayama et al., "Accelerating PyTorch with CUDA Graphs",
https://pytorch.org/blog/accelerating-pytorch-with-cuda-graphs/: what is captured must be the same
operations on the same memory every time. So all that changes from step to step is held on the
device: the epoch's order and random numbers, its learning rates, and the place that it has reached.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from etude.data.batch import Batch, Gathered, Split
from etude.train.cuda import Cuda
from etude.train.optim.capturable import follows_device
from etude.train.replay import CannotCapture, Replays
from etude.train.state import State
from etude.train.step import Result, Step

T = TypeVar("T")


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

    images: Gathered
    batch_size: int
    order: Tensor
    draws: Tensor | None
    rates: Tensor
    step: Tensor
    lr: Tensor

    @classmethod
    def of(cls, state: State, images: Gathered, seed: int, batch_size: int) -> "Epoch":
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
        step: Forward, backward and update; it also says whether the rest is compiled.
        state: Its losses and counts are written.
        images: How many images the batch has.
    """
    whole = images == epoch.batch_size
    do = partial(step.compiler.do, step.mark()) if whole else _as_it_is
    batch = do(read_batch, epoch, images)
    result = step(batch.images, batch.labels, whole=whole)
    do(note_result, epoch.step, state.losses, state.correct, result)


def _as_it_is(function: Callable[..., T], *arguments: object) -> T:
    return function(*arguments)


def read_batch(epoch: Epoch, images: int) -> Batch:
    """Make the next batch, and set its rate."""
    first = epoch.step * epoch.batch_size
    part = epoch.order.index_select(0, first + torch.arange(images, device=first.device))
    epoch.lr.copy_(epoch.rates.index_select(0, epoch.step).squeeze(0))
    return epoch.images.batch(part, epoch.draws)


def note_result(step: Tensor, losses: Tensor, correct: Tensor, result: Result) -> None:
    """Write down what a step saw, and move on."""
    losses.index_copy_(0, step, result.loss.view(1))
    correct.index_copy_(0, step, result.correct.view(1))
    step += 1


def obstacle(
    optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler, *, streamed: bool
) -> str:
    """Say why a run's steps cannot be captured, as far as that is known before the first."""
    if streamed:
        return "its images are streamed; set dataset.stream=false"
    if scaler.is_enabled():
        return "float16's scaling looks at the gradients; set precision=bfloat16"
    if not follows_device(optimizer):
        return f"{type(optimizer).__name__} does not say that it can be, by taking `capturable`"
    return ""


class Captured:
    """Carry out an epoch's steps as replays of a captured graph, and of one for its smaller last.

    The first few of each after a start or a resume are done eagerly: see `Replay`.

    Args:
        step: What is done with each batch.
        cuda: What runs and captures it.
    """

    def __init__(self, step: Step, cuda: Cuda | None = None) -> None:
        self._step = step
        self._cuda = cuda or Cuda()
        self._epoch: Epoch | None = None
        self._replays: Replays | None = None

    def begin(self, state: State, images: Split, *, seed: int, batch_size: int) -> None:
        """Take up what is left of the epoch under way.

        Raises:
            CannotCapture: The images are not on the device, or what there is cannot be captured.
        """
        if reason := obstacle(
            state.optimizer, state.scaler, streamed=not isinstance(images, Gathered)
        ):
            raise CannotCapture(reason)
        assert isinstance(images, Gathered)  # noqa: S101
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
        if self._replays is None:
            do = partial(whole_step, epoch, self._step, state)
            self._replays = Replays(do, state.model, state.device, self._cuda)
        self._replays(size)
        state.step_done()
