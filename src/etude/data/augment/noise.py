"""Noise of every image's own: one random number becomes as many as an image has values.

Each is made of a hash of the image's number and one of the value's place, in whole numbers, so that
it is the same in any batch and on any device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from etude.data.augment.draws import STEPS

MASK = 2**32 - 1
SPREAD = 0x735A2D97  # odd, so that no two numbers become one


def noise(draws: Tensor, shape: Sequence[int], limits: Sequence[float]) -> Tensor:
    """Make noise, uniform between two limits: (N, *shape) float32, from draws (N,).

    Every value costs one xor and one product in int32, which drops what is above: both numbers are
    hashed, and of the product only the upper 24 bits are kept, which all the lower ones reach.
    """
    low, high = limits
    seeds = _mix((draws.double() * STEPS).long()).int()
    bits = (_places(math.prod(shape), draws.device) ^ seeds[:, None]).mul_(SPREAD)
    steps = bits.bitwise_right_shift_(8).float()  # from -2^23 to 2^23 - 1
    return steps.mul_((high - low) / STEPS).add_((low + high) / 2).view(-1, *shape)


@lru_cache(maxsize=8)
def _places(count: int, device: torch.device) -> Tensor:
    """Hash the places of values, once: (count,) int32."""
    # From 1, as 0 is its own hash; and away from the images' numbers.
    return _mix(torch.arange(1, count + 1, device=device) + STEPS).int()


def _mix(bits: Tensor) -> Tensor:
    """Turn whole numbers below 2^32 into others, one to one, that look random.

    Xor and multiply by Wellons' scheme with TheIronBorn's constants, both below 2^31 so that no
    product leaves 63 bits: https://github.com/skeeto/hash-prospector.
    """
    bits = ((bits ^ (bits >> 16)) * 0x21F0AAAD) & MASK
    bits = ((bits ^ (bits >> 15)) * 0x735A2D97) & MASK
    return bits ^ (bits >> 15)
