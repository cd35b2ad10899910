"""How signals spread through a network before its first step: too little, too much, or evenly."""

import copy
import math
from functools import partial
from typing import TypedDict, cast

import torch
from torch import Tensor, nn

from etude.data.batch import Batch
from etude.train.init import KERNEL_LAYERS
from etude.train.loss import training_losses


class LayerSpread(TypedDict):
    """One convolution or linear layer: standard deviations over a batch, None if not finite.

    Attributes:
        layer: Its name.
        activation: Of its outputs.
        gradient: Of the loss's gradient by them.
        gain: What it multiplies its input's root mean square by, if that has been through ReLU:
            √(inputs of a unit · mean square of the weights / 2).
    """

    layer: str
    activation: float | None
    gradient: float | None
    gain: float


def layer_spreads(model: nn.Module, batch: Batch, *, label_smoothing: float) -> list[LayerSpread]:
    """Send a batch through a copy of a network and back, in float32, dropout off.

    Batch norm takes the batch's own statistics, as it does while it is trained.

    Returns:
        Layers in the order in which images pass through them.
    """
    seen = copy.deepcopy(model).train()
    outputs: dict[str, Tensor] = {}
    for name, module in seen.named_modules():
        if isinstance(module, nn.Dropout):
            module.eval()
        if isinstance(module, KERNEL_LAYERS):
            module.register_forward_hook(partial(_keep, outputs, name))
    with torch.enable_grad():
        output = seen(batch.images)
        loss = training_losses(seen, output, batch.labels, label_smoothing=label_smoothing).total
        found = torch.autograd.grad(loss, list(outputs.values()), materialize_grads=True)
    named = dict(seen.named_modules())
    return [
        LayerSpread(
            layer=name,
            activation=_deviation(value),
            gradient=_deviation(gradient),
            gain=_gain(cast("Tensor", named[name].weight)),
        )
        for (name, value), gradient in zip(outputs.items(), found, strict=True)
    ]


def _keep(
    outputs: dict[str, Tensor], name: str, _module: nn.Module, _given: object, value: Tensor
) -> Tensor:
    """Keep a layer's output, and hand on a copy, which may then be changed in place."""
    outputs[name] = value
    return value.clone()


def _deviation(values: Tensor) -> float | None:
    found = float(values.detach().double().std())
    return found if math.isfinite(found) else None


def _gain(weight: Tensor) -> float:
    return math.sqrt(weight[0].numel() * float(weight.detach().double().square().mean()) / 2)
