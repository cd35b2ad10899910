"""An epoch's steps as one CUDA graph, replayed: the host starts one thing a step, not hundreds.

Nakayama et al., "Accelerating PyTorch with CUDA Graphs",
https://pytorch.org/blog/accelerating-pytorch-with-cuda-graphs/: what is captured must be the same
operations on the same memory every time. So all that changes from step to step is held on the
device: the epoch's order and random numbers, its learning rates, and the place that it has reached.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from etude.base.errors import UserError
from etude.data.resident import Resident
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


class Captured:
    """Carry out an epoch's steps as replays of one captured graph.

    The first steps after a start or a resume, and an epoch's smaller last one, are done eagerly: by
    the same operations, so they are steps like all others.

    Args:
        step: What is done with each batch; its optimizer must be able to be captured.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        self._epoch: Epoch | None = None
        self._graph: Any = None  # torch.cuda.CUDAGraph
        self._eager_steps = 0

    def begin(self, state: State, images: Any, *, seed: int, batch_size: int) -> None:
        """Take up what is left of the epoch under way.

        Raises:
            UserError: The images are not resident on the device.
        """
        if not isinstance(images, Resident):
            raise UserError("train.step=graph needs its data on the device; set dataset.stream=no")
        if self._epoch is None:
            self._epoch = Epoch.of(state, images, seed, batch_size)
        else:
            self._epoch.begin(state, seed)
        for group in state.optimizer.param_groups:
            group["lr"] = self._epoch.lr  # a loaded checkpoint brings its own

    def advance(self, state: State) -> None:
        """Do the next step, and note what it saw."""
        epoch = self._epoch
        assert epoch is not None, "begin comes first"  # noqa: S101
        size = min(epoch.batch_size, len(epoch.images) - state.step * epoch.batch_size)
        if size < epoch.batch_size or self._eager_steps < WARM_UP_STEPS:
            self._advance_eagerly(epoch, state, size)
        else:
            if self._graph is None:
                self._graph = self._capture(epoch, state, size)
            self._graph.replay()
        state.step_done()

    def _advance_eagerly(self, epoch: Epoch, state: State, size: int) -> None:
        """Do a step on the stream that is captured later, as PyTorch asks for warm-ups."""
        self._eager_steps += 1
        stream = torch.cuda.Stream(state.device)
        stream.wait_stream(torch.cuda.current_stream(state.device))
        with torch.cuda.stream(stream), warnings.catch_warnings():
            # Optimizers wonder why one that can be captured is not.
            warnings.filterwarnings("ignore", message=".*capturable=True")
            whole_step(epoch, self._step, state, size)
        torch.cuda.current_stream(state.device).wait_stream(stream)

    def _capture(self, epoch: Epoch, state: State, size: int) -> Any:
        """Record the step; nothing is computed yet.

        Raises:
            UserError: It waits for the device, or does something else that no graph can hold.
        """
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                whole_step(epoch, self._step, state, size)
        except RuntimeError as error:
            reason = str(error).strip().partition("\n")[0]
            raise UserError(
                f"train.step=graph cannot capture this run ({reason}); set train.step=eager"
            ) from error
        return graph
