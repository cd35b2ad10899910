"""The gradient as it is between two epochs, and its size."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from etude.data.batch import Batch
from etude.models.auxiliary import WithHeads
from etude.train.hardware import autocast
from etude.train.loss import training_losses


def gradients(
    model: nn.Module,
    batch: Batch,
    *,
    precision: str,
    label_smoothing: float,
    sizes: Sequence[int] | None = None,
) -> dict[str, Tensor]:
    """Give the gradient over one batch of what the training makes small, by parameter.

    That is the network's own loss where it brings one, auxiliary heads included; weight decay,
    which optimizers add, is not. Dropout is off and batch norm keeps its averages, so that neither
    the random numbers nor the network of the training that goes on are touched; nor are the
    parameters' own gradients, whose memory a captured step holds on to.

    Args:
        model: The network.
        batch: What it is asked about.
        precision: float32, bfloat16 or float16.
        label_smoothing: Share of the target that is spread over all classes.
        sizes: Images of each part that it is computed in, as a step's are; None for all at once.
    """
    was_training = model.training
    model.eval()
    model.training = isinstance(model, WithHeads)  # of its layers none
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    parts = [len(batch.labels)] if sizes is None else list(sizes)
    found: list[Tensor] = []
    for images, labels in zip(batch.images.split(parts), batch.labels.split(parts), strict=True):
        with autocast(precision, images.device):
            output = model(images)
        loss = training_losses(model, output, labels, label_smoothing=label_smoothing).total
        share = loss * (len(labels) / len(batch.labels))
        new = torch.autograd.grad(share, list(named.values()), materialize_grads=True)
        for place, gradient in enumerate(new if found else ()):  # one by one: all would be twice
            found[place] = found[place] + gradient
        found = found or [*new]
        del new, output, loss, share  # before the next part takes as much again
    model.train(was_training)
    return dict(zip(named, found, strict=True))


def norm(tensors: list[Tensor]) -> float:
    """Give the length of all tensors together; this waits for the device."""
    return float(torch.stack([tensor.detach().float().norm() for tensor in tensors]).norm())
