"""One optimizer step, and an epoch's steps carried out one after the other."""

from collections.abc import Callable, Iterator
from copy import copy
from functools import partial
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from etude.base.errors import UserError
from etude.base.identity import mark_of
from etude.data.batch import Batch, Split
from etude.train.autocast_weights import WeightsAtOnce
from etude.train.compiler import Compiler, one_kernel, what_passes_change
from etude.train.hardware import autocast
from etude.train.loss import OwnLoss, training_losses
from etude.train.state import State


class Result(NamedTuple):
    """What a step saw, still on the device: loss () and the number of images told right ().

    Both are those of the logits that count; auxiliary heads are learned from, and not told of.
    """

    loss: Tensor
    correct: Tensor


class Step:
    """Forward, backward and update for one batch, without waiting for the device.

    Every option does nothing when it is off, so there is one path for all of them.

    Args:
        model: The network.
        optimizer: Over its parameters.
        scaler: Scales the loss for float16; disabled otherwise.
        device: Where the model is.
        precision: float32, bfloat16 or float16.
        label_smoothing: Share of the target that is spread over all classes.
        clip_norm: Largest norm of all gradients together, before the optimizer adds weight decay;
            None leaves them as they are.
        accumulate: Parts that a batch is computed in. Batch norm sees each part by itself, so they
            are other numbers than those of the whole batch.
        smallest_part: Images that a part has at the least, where there are so many.
        compiler: Compiles the passes and the update of whole batches; None leaves them as they are.

    Attributes:
        compiler: Likewise.

    Raises:
        UserError: There is label smoothing, but the network has its own loss.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        scaler: torch.amp.GradScaler,
        device: torch.device,
        precision: str,
        label_smoothing: float = 0.0,
        clip_norm: float | None = None,
        accumulate: int = 1,
        smallest_part: int = 1,
        compiler: Compiler | None = None,
    ) -> None:
        if label_smoothing and isinstance(model, OwnLoss):
            raise UserError(
                f"train.label_smoothing={label_smoothing} is for cross-entropy, and "
                f"{type(model).__name__} has a loss of its own; set it to 0"
            )
        self._model = self._asked = model
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._optimizer = optimizer
        self._scaler = scaler
        self._device = device
        self._precision = precision
        self._label_smoothing = label_smoothing
        self._clip_norm = clip_norm
        self._accumulate, self._smallest_part = accumulate, smallest_part
        self.compiler = compiler or Compiler()
        self._plain_passes = partial(_passes, forward=WeightsAtOnce(model))
        self._compiled_passes = self.compiler(_passes)
        self._compiled_update = self.compiler(optimizer.step)

    def of_features(self, end: nn.Module) -> Self:
        """Give the same step for batches of features, which the network's end is asked about.

        Args:
            end: What follows the layers that made them, with the network's own parameters.
        """
        step = copy(self)
        step._asked = end
        step._plain_passes = partial(_passes, forward=WeightsAtOnce(end))
        step._compiled_passes = self.compiler(_passes)
        return step

    def __call__(self, images: Tensor, labels: Tensor, *, whole: bool = False) -> Result:
        """Learn from images (N, C, H, W) with labels (N,).

        Args:
            images: A batch.
            labels: Its labels.
            whole: It is none of those smaller ones that end an epoch, for which nothing is
                compiled: that would take as long again, for a step of hundreds.
        """
        sizes = self.part_sizes(len(labels))
        chunks = list(zip(images.split(sizes), labels.split(sizes), strict=True))
        usual = len(chunks[0][1]) if whole else 0
        results = [
            self._learn(*chunk, len(labels), compiled=len(chunk[1]) == usual) for chunk in chunks
        ]
        if self._clip_norm is not None:
            self._scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_(self._parameters, self._clip_norm)
        self._update(whole=whole)
        self._optimizer.zero_grad()
        if len(results) == 1:
            return results[0]
        return Result(*(torch.stack(values).sum(0) for values in zip(*results, strict=True)))

    def part_sizes(self, images: int) -> list[int]:
        """Give the images of each part of a batch: as `chunk` has it, or evenly, none too small."""
        each = -(-images // min(self._accumulate, images))
        sizes = [min(each, images - first) for first in range(0, images, each)]
        if min(sizes) >= self._smallest_part:
            return sizes
        count = max(1, min(self._accumulate, images // self._smallest_part))
        return [images // count + (number < images % count) for number in range(count)]

    def _learn(self, images: Tensor, labels: Tensor, batch_size: int, *, compiled: bool) -> Result:
        """Add a part's gradient, weighted by its share of the batch."""

        def by(passes: Callable[..., _Passed]) -> Result:
            share = len(labels) / batch_size
            how = self._precision, self._device, self._label_smoothing, share
            total, loss, correct = passes(self._asked, images, labels, *how)
            self._scaler.scale(total).backward()
            return Result(loss, correct)

        if not compiled:
            return by(self._plain_passes)
        return self.compiler.attempt(
            f"passes-{self.mark(images)}",
            partial(by, self._compiled_passes),
            partial(by, self._plain_passes),
            keep=partial(what_passes_change, self._model, self._optimizer, self._device),
        )

    def _update(self, *, whole: bool) -> None:
        """Update the weights; compiled from the second time on, as the first makes the state."""
        by_number = any(not isinstance(g["lr"], Tensor) for g in self._optimizer.param_groups)
        as_it_is = by_number or self._scaler.is_enabled() or one_kernel(self._optimizer)
        if not whole or as_it_is or not self._optimizer.state:
            self._plain_update()
            return
        # What cannot be compiled has not begun, so that nothing is to be brought back.
        self.compiler.attempt(f"update-{self.mark()}", self._compiled_update, self._plain_update)

    def _plain_update(self) -> None:
        self._scaler.step(self._optimizer)
        self._scaler.update()

    def mark(self, images: Tensor | None = None) -> str:
        """Name what compiled code depends on, for other processes that need the same."""
        weights = [list(p.shape) for p in self._parameters]
        kinds = type(self._model).__name__, type(self._optimizer).__name__
        batch = None if images is None else list(images.shape)
        return mark_of({"kinds": kinds, "sizes": [*weights, batch], "precision": self._precision})


class _Passed(NamedTuple):
    total: Tensor
    loss: Tensor
    correct: Tensor


def _passes(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    precision: str,
    device: torch.device,
    label_smoothing: float,
    share: float,
    forward: Callable[[Tensor], Any] | None = None,
) -> _Passed:
    """Compute what is made small, and what is told of it, of a part of a batch.

    Where it is compiled, `forward` is the network itself: casts become parts of other kernels.
    """
    with autocast(precision, device):
        output = (forward or model)(images)
    total, loss, logits = training_losses(model, output, labels, label_smoothing=label_smoothing)
    if share != 1:
        loss, total = loss * share, total * share
    with torch.no_grad():
        return _Passed(total, loss.detach(), (logits.argmax(1) == labels).sum())


class Eager:
    """Carry out an epoch's steps one after the other.

    Args:
        step: What is done with each batch.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        self._batches: Iterator[Batch] = iter(())
        self._batch_size = 0

    def begin(self, state: State, images: Split, *, seed: int, batch_size: int) -> None:
        """Take up what is left of the epoch under way."""
        self._batches = images.epoch(seed, state.epoch, batch_size, state.step)
        self._batch_size = batch_size

    def advance(self, state: State) -> None:
        """Do the next step, and note what it saw."""
        images, labels = next(self._batches)
        state.set_rate()
        result = self._step(images, labels, whole=len(labels) == self._batch_size)
        state.losses[state.step] = result.loss
        state.correct[state.step] = result.correct
        state.step_done()
