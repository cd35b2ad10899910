"""Which class a network takes for which: its answers on the test split, counted."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from etude.data.batch import Split
from etude.hardware import autocast
from etude.runs.names import CONFUSION
from etude.runs.records import write_json


@torch.inference_mode()
def confusion(
    model: nn.Module,
    data: Split,
    device: torch.device,
    *,
    classes: int,
    precision: str,
    batch_size: int,
) -> Tensor:
    """Count a model's answers: (classes, classes) int64 on the CPU, a row for each true class."""
    model.eval()
    counts = torch.zeros(classes * classes, dtype=torch.int64, device=device)
    for images, labels in data.in_order(batch_size):
        with autocast(precision, device):
            answers = model(images).argmax(1)
        cells = labels * classes + answers
        # Not bincount, which is not deterministic on CUDA.
        counts.index_add_(0, cells, torch.ones_like(cells))
    return counts.view(classes, classes).cpu()


def write_confusion(folder: Path, counts: Tensor, classes: Sequence[str], *, epoch: int) -> None:
    """Keep the counts, with the classes' names and the epoch whose weights answered."""
    content = {"epoch": epoch, "split": "test", "classes": list(classes), "counts": counts.tolist()}
    write_json(folder / CONFUSION, content)
