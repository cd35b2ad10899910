"""From an image's random numbers, uniform in [0, 1), to what is drawn with them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

# Random numbers are multiples of 2^-24: what torch.rand draws in float32.
STEPS = 2**24


def integers(draws: Tensor, count: Tensor | int) -> Tensor:
    """Map [0, 1) to the whole numbers 0..count-1, which rounding in float32 does not leave."""
    return (draws * count).long()


def between(draws: Tensor, limits: Sequence[float]) -> Tensor:
    """Map [0, 1) to the numbers between two limits."""
    low, high = limits
    return low + draws * (high - low)


def around(draws: Tensor, reach: float) -> Tensor:
    """Map [0, 1) to -reach..reach."""
    return (2 * draws - 1) * reach


def normal(draws: Tensor) -> Tensor:
    """Map [0, 1) to the standard normal distribution, in float64; no value is beyond 5.5.

    By the inverse of its distribution function, so that one number makes one number.
    """
    middles = (draws.double() * STEPS + 0.5) / STEPS
    return torch.erfinv(2 * middles - 1) * math.sqrt(2)


def columns(draws: Tensor) -> tuple[Tensor, ...]:
    """Take draws (N, K) apart: K of (N,) in float64, each by itself in memory.

    Strided numbers go through other functions than dense ones on a CPU, which round otherwise: an
    image would not be changed alike in every batch.
    """
    return draws.double().t().contiguous().unbind(0)
