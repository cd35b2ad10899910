"""Contrast, brightness and colour changed by random factors, in an order of every image's own.

Howard 2013, https://arxiv.org/abs/1312.5402, section 2.2, whose factors are from 0.5 to 1.5; the
Inception papers took it over. As in PIL's `ImageEnhance`, each change mixes the image with
something plain: black for brightness, its mean grey for contrast, its greys for colour.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from etude.data.augment.draws import around, columns, integers
from etude.data.augment.gather import best_one_by_one

BRIGHTNESS, CONTRAST, COLOUR = range(3)
GREY = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601, as in PIL


class Photometric:
    """Change images, clamped to 0 to 255 after each of the three.

    Grey images, of one channel, have no colour to change: it leaves them as they are.

    Args:
        reach: The factors are from 1 - reach to 1 + reach.
    """

    draws = 4

    def __init__(self, reach: float) -> None:
        self.reach = reach

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Change images (N, C, H, W), 0 to 255; draws (N, 4): order, and the three factors."""
        order, *factors = columns(draws)
        scale = torch.stack([1 + around(factor, self.reach) for factor in factors], dim=1).float()
        # Grey is summed alike in every memory format where the channels lie one after the other.
        if best_one_by_one(images):
            orders = torch.stack(_order(order), dim=1)
            return _changed_one_by_one(images, orders.tolist(), scale.tolist())
        changed = images.float().contiguous()
        for which in _order(order):
            factor = scale.gather(1, which[:, None])[:, :, None, None]
            plain = _plain(changed, which[:, None, None, None])
            changed = torch.lerp(plain, changed, factor).clamp_(0, 255)
        return changed


def _changed_one_by_one(
    images: Tensor, order: Sequence[Sequence[int]], scale: Sequence[Sequence[float]]
) -> Tensor:
    """Do the same, to the bit, while an image is in the cache, and no more than it needs.

    224×224 pixels on one thread of an Intel Xeon: 0.5 ms an image, 0.9 for all of a batch together.
    """
    changed = torch.empty(images.shape)
    for made, image, own, factors in zip(
        changed.split(1), images.split(1), order, scale, strict=True
    ):
        made.copy_(image)
        for which in own:
            plain = _greys(made) if which != BRIGHTNESS else torch.zeros(())
            plain = _means(plain) if which == CONTRAST else plain
            torch.lerp(plain, made, factors[which], out=made).clamp_(0, 255)
    return changed


def _order(draw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Choose one of the six orders of three changes: (N,) int64 each, what comes when."""
    order = integers(draw, 6)
    first, step = order % 3, 1 + order // 3
    return first, (first + step) % 3, (first + 2 * step) % 3


def _plain(images: Tensor, which: Tensor) -> Tensor:
    """Give what images (N, C, H, W) are mixed with; which (N, 1, 1, 1), 0 to 2, the change."""
    grey = _greys(images)
    return torch.where(which == COLOUR, grey, _means(grey) * (which == CONTRAST))


def _means(grey: Tensor) -> Tensor:
    """Give the means of greys (N, 1, H, W): (N, 1, 1, 1).

    In whole numbers, as a sum of floating ones depends on the order, and so on the batch; a row's
    in 32 bits, which hold 2^15 pixels, so that no pixel is converted to 64.
    """
    of_rows = (grey * 256).int().sum(3, keepdim=True, dtype=torch.int32)
    total = of_rows.sum((1, 2), keepdim=True, dtype=torch.int64)
    return (total.double() / (256 * grey[0].numel())).float()


def _greys(images: Tensor) -> Tensor:
    """Give the brightness of every pixel: (N, 1, H, W)."""
    if images.shape[1] != len(GREY):
        return images.mean(1, keepdim=True)
    red, green, blue = (images[:, i : i + 1] * weight for i, weight in enumerate(GREY))
    return red.add_(green).add_(blue)
