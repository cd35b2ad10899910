"""Weights rounded to autocast's numbers by one operation, and their gradients brought back by one.

Autocast rounds each weight by itself where it is first used, and each gradient on its way back: two
launches for every weight of a step. The numbers are the same here, as rounding is, and a gradient
in float32 is what it was in fewer bits.
"""

# PyTorch documents its operations on lists of tensors under names with an underscore.
# pyright: reportPrivateUsage=false

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

# Layers that give their weights to products alone, which autocast has in fewer bits; a class that
# extends one of them may do more with its weights.
_LAYERS = (
    nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d,
    nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip


class WeightsAtOnce:
    """Ask a network; under autocast, with its layers' weights rounded all at once.

    Args:
        model: The network.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._places = list(_places(model))

    def __call__(self, images: Tensor) -> Any:
        """Give what the network gives for images (N, C, H, W)."""
        kind = images.device.type
        if not self._places or not torch.is_autocast_enabled(kind):
            return self._model(images)
        # One that several layers share is rounded once, so that its gradients meet as they did.
        weights: list[Any] = list(
            dict.fromkeys(layer._parameters[name] for layer, name in self._places)
        )
        low = dict(zip(weights, _rounded(torch.get_autocast_dtype(kind), weights), strict=True))
        try:
            # An object's own entry is found before the parameter, which stays what it is.
            for layer, name in self._places:
                vars(layer)[name] = low[layer._parameters[name]]
            return self._model(images)
        finally:
            for layer, name in self._places:
                vars(layer).pop(name, None)


def _places(model: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Find the weights and biases that autocast would round: those that nothing else computes."""
    for layer in model.modules():
        if type(layer) in _LAYERS and not layer._forward_pre_hooks:
            for name, parameter in layer.named_parameters(recurse=False):
                if parameter.dtype == torch.float32:
                    yield layer, name


def _rounded(dtype: torch.dtype, weights: Sequence[Tensor]) -> Sequence[Tensor]:
    made: Any = _Round.apply(dtype, *weights)
    return made


class _Round(torch.autograd.Function):
    """Round tensors to a type by one operation; gradients come back in float32 by another."""

    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *weights: Tensor) -> tuple[Tensor, ...]:
        """Give the tensors in that type, in their own memory formats."""
        ctx.set_materialize_grads(False)
        rounded = _copied(weights, dtype)
        ctx.mark_non_differentiable(
            *(low for low, weight in zip(rounded, weights, strict=True) if not weight.requires_grad)
        )
        return tuple(rounded)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:  # noqa: ARG004
        """Give the gradients in float32; of what was not used there is none."""
        there = iter(_copied([g for g in gradients if g is not None], torch.float32))
        return None, *(None if gradient is None else next(there) for gradient in gradients)


def _copied(tensors: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    copies = [torch.empty_like(tensor, dtype=dtype) for tensor in tensors]
    if copies:
        torch._foreach_copy_(copies, list(tensors))
    return copies
