"""Evaluating the same splits after every epoch, on a GPU as replays of a captured graph."""

import logging
from collections.abc import Callable
from typing import TypedDict

import torch
from torch import Tensor, nn

from etude.data.batch import Ordered
from etude.data.resident import Resident
from etude.train.cuda import Cuda
from etude.train.evaluate import Score, Scorer, evaluate
from etude.train.hardware import autocast
from etude.train.replay import CannotCapture, Replays

log = logging.getLogger(__name__)


# What scores a model on a split.
Evaluator = Callable[[nn.Module, Ordered], Score]


class CapturedEvaluation:
    """Score by the operations of `evaluate`, by graphs for each model, split and size of a batch.

    A graph reads a model's weights where they are, so that it follows them.

    Args:
        device: Where the models and the images are.
        precision: float32, bfloat16 or float16.
        batch_size: Images in a batch; the last one may be smaller.
        cuda: What runs and captures it.
    """

    def __init__(
        self, *, device: torch.device, precision: str, batch_size: int, cuda: Cuda | None = None
    ) -> None:
        self._how: _How = {"device": device, "precision": precision, "batch_size": batch_size}
        self._cuda = cuda or Cuda()
        self._passes: dict[tuple[nn.Module, Ordered], _Pass] = {}
        self._given_up = False

    def __call__(self, model: nn.Module, data: Ordered) -> Score:
        """Score a model."""
        if self._given_up or not isinstance(data, Resident):
            return evaluate(model, data, **self._how)
        key = model, data
        if key not in self._passes:
            self._passes[key] = _Pass(model, data, self._cuda, **self._how)
        try:
            return self._passes[key].score()
        except CannotCapture as error:
            log.info("evaluations are done eagerly, which is slower: %s", error.reason)
            self._given_up = True
            self._passes.clear()
        return self(model, data)  # where what the attempt holds has been let go with its error


class _How(TypedDict):
    device: torch.device
    precision: str
    batch_size: int


class _Pass:
    """A model's pass over a split: everything at addresses that stay."""

    def __init__(
        self,
        model: nn.Module,
        data: Resident,
        cuda: Cuda,
        *,
        device: torch.device,
        precision: str,
        batch_size: int,
    ) -> None:
        self._model, self._data, self._precision = model, data, precision
        self._batch_size = batch_size
        self._first = torch.zeros(1, dtype=torch.int64, device=device)
        self._scorer = Scorer(model, device)
        self._replays = Replays(self._do, model, device, cuda)

    @torch.inference_mode()
    def score(self) -> Score:
        """Ask about every image once; the last batch waits for the device.

        Raises:
            CannotCapture: It cannot be captured.
        """
        self._model.eval()
        self._first.zero_()
        self._scorer.begin()
        whole, rest = divmod(len(self._data), self._batch_size)
        for _ in range(whole):
            self._replays(self._batch_size)
        if rest:
            self._replays(rest)
        return self._scorer.score(len(self._data))

    def _do(self, images: int) -> None:
        part = self._first + torch.arange(images, device=self._first.device)
        batch = self._data.batch(part, None)
        with autocast(self._precision, self._data.device):
            logits: Tensor = self._model(batch.images)
        self._scorer(batch, logits)
        self._first += images
