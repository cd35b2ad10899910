"""Which class a network takes for which: its answers on the test split, counted."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from etude.data.batch import Batch
from etude.runs.names import CONFUSION
from etude.runs.records import write_json


class ConfusionCounter:
    """Count a model's answers on the device.

    Args:
        classes: How many there are.
        device: Where the answers are.
    """

    def __init__(self, classes: int, device: torch.device) -> None:
        self._classes = classes
        self._cells = torch.zeros(classes * classes, dtype=torch.int64, device=device)

    def __call__(self, batch: Batch, logits: Tensor) -> None:
        """Take in a batch."""
        cells = batch.labels * self._classes + logits.argmax(1)
        # Not bincount, which is not deterministic on CUDA.
        self._cells.index_add_(0, cells, torch.ones_like(cells))

    def counts(self) -> Tensor:
        """Give (classes, classes) int64 on the CPU, a row for each true class."""
        return self._cells.view(self._classes, self._classes).cpu()


def write_confusion(folder: Path, counts: Tensor, classes: Sequence[str], *, epoch: int) -> None:
    """Keep the counts, with the classes' names and the epoch whose weights answered."""
    content = {"epoch": epoch, "split": "test", "classes": list(classes), "counts": counts.tolist()}
    write_json(folder / CONFUSION, content)
