"""Noise of every image's own: one random number becomes as many as an image has values.

Each is a hash of the image's number and of the value's place, in whole numbers, so that it is the
same in any batch and on any device.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from etude.data.draws import STEPS

MASK = 2**32 - 1


def noise(draws: Tensor, channels: int, height: int, width: int) -> Tensor:
    """Make noise, uniform in [0, 1): (N, channels, height, width) float32, from draws (N,)."""
    seeds = _mix((draws.double() * STEPS).long())
    bits = _mix(_places(channels * height * width, draws.device) ^ seeds[:, None])
    return (bits >> 8).float().div_(STEPS).view(-1, channels, height, width)


@lru_cache(maxsize=8)
def _places(count: int, device: torch.device) -> Tensor:
    """Hash the places of values, once: (count,) int64."""
    # From 1, as 0 is its own hash; and away from the images' numbers.
    return _mix(torch.arange(1, count + 1, device=device) + STEPS)


def _mix(bits: Tensor) -> Tensor:
    """Turn whole numbers below 2^32 into others, one to one, that look random.

    Xor and multiply by Wellons' scheme with TheIronBorn's constants, both below 2^31 so that no
    product leaves 63 bits: https://github.com/skeeto/hash-prospector.
    """
    bits = ((bits ^ (bits >> 16)) * 0x21F0AAAD) & MASK
    bits = ((bits ^ (bits >> 15)) * 0x735A2D97) & MASK
    return bits ^ (bits >> 15)
