"""Colours changed along the training images' principal components, as for AlexNet.

Krizhevsky et al. 2012, section 4.1: to every pixel of an image is added p1·a1·λ1 + p2·a2·λ2 +
p3·a3·λ3, with the eigenvectors p and eigenvalues λ of the covariance of the training pixels' red,
green and blue, and a ~ N(0, std), drawn once for the image.

The eigenvalues are variances, so the scale of the pixels matters: at 0-255 they are 255 times what
they are at 0-1 beside the values they are added to, and the first, about 14,000, would paint over
every image. The pixels are taken from 0 to 1 here, and what is added is times 255. Torch's ResNet
(fb.resnet.torch) has it so; nothing is clamped.
"""

from __future__ import annotations

import torch
from torch import Tensor

from etude.data.augment.draws import columns, normal
from etude.data.sources.files import Files

SAMPLE = 500  # images; thousands of pixels each, and decoding them takes a streamed run seconds
CHUNK = 16  # images whose pixels are held in float64


class Colour:
    """Add a random colour to every image.

    Args:
        std: Of the three factors a; 0.1 in the paper.
        components: What `components` gives; None before the images are known.
    """

    draws = 3

    def __init__(self, std: float, components: Tensor | None) -> None:
        self.std = std
        self.components = components

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """Colour images (N, 3, H, W), 0 to 255; draws (N, 3), one a component."""
        assert self.components is not None, "Augment.fitted comes first"  # noqa: S101
        first, second, third = (normal(draw)[:, None] * self.std for draw in columns(draws))
        one, two, three = self.components.unbind(0)
        added = first * one + second * two + third * three
        added = _beside_pixels(added.float()[:, :, None, None], images)
        if images.dtype == torch.float32:
            return images + added
        return images.float().add_(added)


def _beside_pixels(added: Tensor, images: Tensor) -> Tensor:
    """Repeat numbers (N, C, 1, 1) for a row where that is how they lie in images: (N, C, 1, W).

    On a CPU channels-last would be gone through in pieces of three values, eight times as slowly.
    """
    if images.device.type != "cpu" or not images.is_contiguous(memory_format=torch.channels_last):
        return added
    row = added.expand(-1, -1, 1, images.shape[3])
    return row.contiguous(memory_format=torch.channels_last)


def components(images: Tensor | Files) -> Tensor:
    """Find the principal components of colour, times their eigenvalues.

    They are those of at most `SAMPLE` images, evenly spaced, whether the images are in memory or in
    their files: a run must not depend on that.

    Args:
        images: (N, 3, H, W) uint8.

    Returns:
        (3, 3) float64 on the CPU, a row a component, largest first, for pixels from 0 to 255.
    """
    count = min(len(images), SAMPLE)
    chosen = images[torch.arange(count) * len(images) // count]
    values, vectors = torch.linalg.eigh(_covariance(chosen))
    # Which end of a component is its head is up to the solver; here it is its largest value's.
    heads = vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
    return (255 * values.clamp(min=0) * vectors * heads).t().flip(0).contiguous()


def _covariance(images: Tensor | Files) -> Tensor:
    """Give the covariance of the colours of pixels from 0 to 1, (3, 3) float64 on the CPU.

    The sums are of whole numbers, which float64 holds exactly: they are the same in every order.
    """
    first = torch.zeros(3, dtype=torch.float64)
    second = torch.zeros(3, 3, dtype=torch.float64)
    pixels = 0
    for start in range(0, len(images), CHUNK):
        part = images[slice(start, start + CHUNK)]
        part = part.tensor() if isinstance(part, Files) else part
        colours = part.double().movedim(1, 0).flatten(1)
        first += colours.sum(1).cpu()
        second += (colours @ colours.t()).cpu()
        pixels += colours.shape[1]
    mean = first / pixels
    return (second / pixels - mean[:, None] * mean) / 255**2
