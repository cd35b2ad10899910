"""One pass over a split: a network in evaluation mode is asked about every image once."""

from itertools import islice
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from etude.data.batch import Batch, Ordered
from etude.train.hardware import autocast
from etude.train.loss import loss_of


class Score(NamedTuple):
    """The loss (cross-entropy, or the network's own), a mean over images; accuracy, a fraction."""

    loss: float
    accuracy: float


class Reader(Protocol):
    """What takes note of a network's answers, batch after batch; should not wait for the device."""

    def __call__(self, batch: Batch, logits: Tensor, /) -> None:
        """Read the logits (N, classes) of a batch, in inference mode."""
        ...


@torch.inference_mode()
def ask(
    model: nn.Module,
    data: Ordered,
    *readers: Reader,
    device: torch.device,
    precision: str,
    batch_size: int,
    batches: int | None = None,
) -> None:
    """Hand a model's answers to a split, in its order, to everybody who reads them.

    Args:
        model: It is left in evaluation mode.
        data: The images.
        readers: Each is given every batch.
        device: Where the model and the images are.
        precision: float32, bfloat16 or float16.
        batch_size: Images in a batch; the last one may be smaller.
        batches: Stop after so many; None asks about all images.
    """
    model.eval()
    for batch in islice(data.in_order(batch_size), batches):
        with autocast(precision, device):
            logits = model(batch.images)
        for read in readers:
            read(batch, logits)


class Scorer:
    """Add up losses and right answers on the device.

    Args:
        model: The network that answers, which may have a loss of its own.
        device: Where it is.
    """

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        self._model = model
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._correct = torch.zeros((), dtype=torch.int64, device=device)

    def __call__(self, batch: Batch, logits: Tensor) -> None:
        """Take in a batch."""
        self._loss += loss_of(self._model, logits, batch.labels, reduction="sum")
        self._correct += (logits.argmax(1) == batch.labels).sum()

    def begin(self) -> None:
        """Forget all batches."""
        self._loss.zero_()
        self._correct.zero_()

    def score(self, images: int) -> Score:
        """Give the means over all images, of which there were so many; waits for the device."""
        return Score(float(self._loss) / images, int(self._correct) / images)


def evaluate(
    model: nn.Module, data: Ordered, *, device: torch.device, precision: str, batch_size: int
) -> Score:
    """Score a model on all images of a split; see `ask`."""
    scorer = Scorer(model, device)
    ask(model, data, scorer, device=device, precision=precision, batch_size=batch_size)
    return scorer.score(len(data))
