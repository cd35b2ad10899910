"""The gradient as it is between two epochs, and its size."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from etude.data.batch import Batch
from etude.hardware import autocast


def gradients(model: nn.Module, batch: Batch, *, precision: str) -> dict[str, Tensor]:
    """Give the gradient of the cross-entropy over one batch, by parameter.

    Dropout is off and batch norm keeps its averages, so that neither the random numbers nor the
    network of the training that goes on are touched; nor are the parameters' own gradients, whose
    memory a captured step holds on to.
    """
    was_training = model.training
    model.eval()
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    with autocast(precision, batch.images.device):
        logits = model(batch.images)
    loss = functional.cross_entropy(logits.float(), batch.labels)
    found = torch.autograd.grad(loss, list(named.values()), materialize_grads=True)
    model.train(was_training)
    return dict(zip(named, found, strict=True))


def norm(tensors: list[Tensor]) -> float:
    """Give the length of all tensors together; this waits for the device."""
    return float(torch.stack([tensor.detach().float().norm() for tensor in tensors]).norm())
