"""What a network says to the images of a split, kept for a closer look."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from etude.data.batch import Split
from etude.hardware import autocast


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


@torch.inference_mode()
def ask(
    model: nn.Module,
    data: Split,
    device: torch.device,
    *,
    precision: str,
    batch_size: int,
    keep: int,
) -> Answers:
    """Collect a model's answers to a whole split, and the first `keep` images it tells wrong."""
    model.eval()
    said: list[Tensor] = []
    true: list[Tensor] = []
    kept: list[tuple[Tensor, Tensor, Tensor]] = []
    for images, labels in data.in_order(batch_size):
        with autocast(precision, device):
            logits = model(images)
        answers = logits.argmax(1)
        wrong = answers != labels
        kept.append(tuple(part[wrong][:keep].cpu() for part in (images, answers, labels)))  # pyright: ignore[reportArgumentType]
        said.append(logits.float().softmax(1).cpu())
        true.append(labels.cpu())
    images, answers, labels = (torch.cat(parts)[:keep] for parts in zip(*kept, strict=True))
    return Answers(torch.cat(said), torch.cat(true), images, answers, labels)


@torch.inference_mode()
def penultimate(
    model: nn.Module, data: Split, device: torch.device, *, precision: str, limit: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Give what the last linear layer is fed with, for the first images of a split.

    Returns:
        Features (N, D), labels (N,) and images (N, C, H, W), on the CPU.
    """
    model.eval()
    fed: list[Tensor] = []
    last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    hook = last.register_forward_pre_hook(lambda _, inputs: fed.append(inputs[0].float().cpu()))
    try:
        images, labels = next(iter(data.in_order(limit)))
        with autocast(precision, device):
            model(images)
    finally:
        hook.remove()
    return fed[-1].flatten(1), labels.cpu(), images.cpu()
