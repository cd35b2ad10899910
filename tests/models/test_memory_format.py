"""Layers that would leave `channels_last`, and what they must give all the same."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from etude.models.lrn import LocalResponseNorm
from etude.models.residual import PaddedIdentity

LAST = torch.channels_last


def passed(layer: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """What a layer gives, and the gradient that it hands on."""
    images = images.clone().requires_grad_()
    output = layer(images)
    weights = torch.randn(output.shape, generator=torch.Generator().manual_seed(1))
    output.backward(weights.contiguous(memory_format=LAST))
    assert images.grad is not None
    return output.detach(), images.grad


def features(*shape: int) -> Tensor:
    drawn = 3 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return drawn.contiguous(memory_format=LAST)


class Slices(nn.Module):
    """Shortcut A as one would write it."""

    def __init__(self, missing: int, stride: int) -> None:
        super().__init__()
        self.missing, self.stride = missing, stride

    def forward(self, hidden: Tensor) -> Tensor:
        kept = hidden[:, :, :: self.stride, :: self.stride]
        return functional.pad(kept, (0, 0, 0, 0, 0, self.missing))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("missing", [0, 16])
@pytest.mark.parametrize("side", [8, 9])
def test_shortcut_a_is_made_of_pixels_to_the_bit(stride: int, missing: int, side: int):
    images = features(4, 16, side, side)
    ours, theirs = (passed(kind(missing, stride), images) for kind in (PaddedIdentity, Slices))
    assert all(map(torch.equal, ours, theirs))


@pytest.mark.parametrize("size", [3, 4, 5])
@pytest.mark.parametrize("shape", [(2, 96, 13, 13), (3, 7, 5, 6)])
def test_local_response_normalisation_is_pytorchs_to_the_bit(size: int, shape: tuple[int, ...]):
    settings = {"alpha": 1e-2 * size, "beta": 0.75, "k": 2.0}
    kinds = (LocalResponseNorm, nn.LocalResponseNorm)
    ours, theirs = (passed(kind(size, **settings), features(*shape)) for kind in kinds)
    assert all(map(torch.equal, ours, theirs))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_under_autocast_it_computes_in_float32_as_pytorchs_does(dtype: torch.dtype):
    images = features(2, 16, 7, 7).to(dtype)
    kinds = (LocalResponseNorm, nn.LocalResponseNorm)
    with torch.autocast("cpu", torch.bfloat16):
        ours, theirs = (kind(5, alpha=0.01, beta=0.75, k=2.0)(images) for kind in kinds)
    assert ours.dtype == theirs.dtype
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    "layer", [PaddedIdentity(16, 2), LocalResponseNorm(5)], ids=lambda layer: type(layer).__name__
)
@pytest.mark.parametrize("layout", [LAST, torch.contiguous_format])
def test_gradients_stay_in_the_format_of_the_features(
    layer: nn.Module, layout: torch.memory_format
):
    images = features(2, 16, 8, 8).contiguous(memory_format=layout)
    output = copy.deepcopy(layer)(images.requires_grad_())
    (gradient,) = torch.autograd.grad(output.square().sum(), images)
    assert gradient.is_contiguous(memory_format=layout)
