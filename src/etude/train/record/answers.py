"""What a network says to the images of a split, kept for a closer look."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from etude.data.batch import Batch, Split
from etude.train.evaluate import ask


class Answers(NamedTuple):
    """A network's answers, on the CPU.

    Attributes:
        probabilities: (N, classes).
        labels: (N,) int64, the true classes.
        wrong: (K, C, H, W), the first images that were told wrong, as the network saw them.
        taken: (K,) int64, what they were taken for.
        classes: (K,) int64, what they are.
    """

    probabilities: Tensor
    labels: Tensor
    wrong: Tensor
    taken: Tensor
    classes: Tensor


class Collector:
    """Keep a model's answers to a split, and the first images that it tells wrong.

    Args:
        keep: How many of these.
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._batches: list[Answers] = []

    def __call__(self, batch: Batch, logits: Tensor) -> None:
        """Take in a batch; this waits for the device."""
        images, labels = batch
        taken = logits.argmax(1)
        wrong = taken != labels
        kept = (part[wrong][: self._keep].cpu() for part in (images, taken, labels))
        self._batches.append(Answers(logits.float().softmax(1).cpu(), labels.cpu(), *kept))

    def answers(self) -> Answers:
        """Give what has been taken in so far, as one."""
        probabilities, labels, *kept = map(torch.cat, zip(*self._batches, strict=True))
        return Answers(probabilities, labels, *(part[: self._keep] for part in kept))


def penultimate(
    model: nn.Module, data: Split, device: torch.device, *, precision: str, limit: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Give what the last linear layer is fed with, for the first images of a split.

    Returns:
        Features (N, D), labels (N,) and images (N, C, H, W), on the CPU.
    """
    fed: list[Tensor] = []
    seen: list[Batch] = []
    last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    hook = last.register_forward_pre_hook(lambda _, inputs: fed.append(inputs[0].float().cpu()))
    try:
        ask(
            model,
            data,
            lambda batch, _: seen.append(batch),
            device=device,
            precision=precision,
            batch_size=limit,
            batches=1,
        )
    finally:
        hook.remove()
    images, labels = seen[0]
    return fed[-1].flatten(1), labels.cpu(), images.cpu()
