"""One optimizer step, and an epoch's steps carried out one after the other."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from etude.base.errors import UserError
from etude.data.batch import Batch, Split
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
        accumulate: Parts that a batch is computed in. Batch norm sees each part by itself.
        compiled: Compile the network's forward and backward passes.

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
        compiled: bool = False,
    ) -> None:
        if label_smoothing and isinstance(model, OwnLoss):
            raise UserError(
                f"train.label_smoothing={label_smoothing} is for cross-entropy, and "
                f"{type(model).__name__} has a loss of its own; set it to 0"
            )
        self._model = model
        self._forward = torch.compile(model) if compiled else model
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        self._optimizer = optimizer
        self._scaler = scaler
        self._device = device
        self._precision = precision
        self._label_smoothing = label_smoothing
        self._clip_norm = clip_norm
        self._accumulate = accumulate

    def __call__(self, images: Tensor, labels: Tensor) -> Result:
        """Learn from images (N, C, H, W) with labels (N,)."""
        parts = min(self._accumulate, len(labels))
        chunks = zip(images.chunk(parts), labels.chunk(parts), strict=True)
        results = [self._learn(part, target, len(labels)) for part, target in chunks]
        if self._clip_norm is not None:
            self._scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_(self._parameters, self._clip_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad()
        if len(results) == 1:
            return results[0]
        return Result(*(torch.stack(values).sum(0) for values in zip(*results, strict=True)))

    def _learn(self, images: Tensor, labels: Tensor, batch_size: int) -> Result:
        """Add a part's gradient, weighted by its share of the batch."""
        with autocast(self._precision, self._device):
            output = self._forward(images)
        total, loss, logits = training_losses(
            self._model, output, labels, label_smoothing=self._label_smoothing
        )
        if len(labels) != batch_size:
            loss, total = (value * (len(labels) / batch_size) for value in (loss, total))
        self._scaler.scale(total).backward()
        with torch.no_grad():
            return Result(loss.detach(), (logits.argmax(1) == labels).sum())


class Eager:
    """Carry out an epoch's steps one after the other.

    Args:
        step: What is done with each batch.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        self._batches: Iterator[Batch] = iter(())

    def begin(self, state: State, images: Split, *, seed: int, batch_size: int) -> None:
        """Take up what is left of the epoch under way."""
        self._batches = images.epoch(seed, state.epoch, batch_size, state.step)

    def advance(self, state: State) -> None:
        """Do the next step, and note what it saw."""
        images, labels = next(self._batches)
        state.set_rate()
        result = self._step(images, labels)
        state.losses[state.step] = result.loss
        state.correct[state.step] = result.correct
        state.step_done()
