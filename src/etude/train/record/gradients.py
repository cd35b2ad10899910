"""The gradient as it is between two epochs, and its size."""

import torch
from torch import Tensor, nn

from etude.data.batch import Batch
from etude.models.auxiliary import WithHeads
from etude.train.hardware import autocast
from etude.train.loss import training_losses


def gradients(
    model: nn.Module, batch: Batch, *, precision: str, label_smoothing: float
) -> dict[str, Tensor]:
    """Give the gradient over one batch of what the training makes small, by parameter.

    That is the network's own loss where it brings one, auxiliary heads included; weight decay,
    which optimizers add, is not. Dropout is off and batch norm keeps its averages, so that neither
    the random numbers nor the network of the training that goes on are touched; nor are the
    parameters' own gradients, whose memory a captured step holds on to.
    """
    was_training = model.training
    model.eval()
    model.training = isinstance(model, WithHeads)  # of its layers none
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    with autocast(precision, batch.images.device):
        output = model(batch.images)
    loss = training_losses(model, output, batch.labels, label_smoothing=label_smoothing).total
    found = torch.autograd.grad(loss, list(named.values()), materialize_grads=True)
    model.train(was_training)
    return dict(zip(named, found, strict=True))


def norm(tensors: list[Tensor]) -> float:
    """Give the length of all tensors together; this waits for the device."""
    return float(torch.stack([tensor.detach().float().norm() for tensor in tensors]).norm())
