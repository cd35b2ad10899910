"""Local response normalisation: Krizhevsky et al., NIPS 2012, section 3.3."""

from typing import TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional


class LRN(TypedDict):
    """Local response normalisation over n = `size` channels: x / (k + alpha·Σₙx²)^beta."""

    size: int
    alpha: float
    beta: float
    k: float


PAPER_LRN: LRN = {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 2.0}


def local_response_norm(lrn: LRN) -> nn.Module:
    """Make the layer; PyTorch divides alpha by the size, the paper does not."""
    size = lrn["size"]
    return LocalResponseNorm(size, alpha=lrn["alpha"] * size, beta=lrn["beta"], k=lrn["k"])


class LocalResponseNorm(nn.LocalResponseNorm):
    """PyTorch's, to the bit, without leaving the memory format `channels_last`.

    PyTorch's averages in the other format, and then each operation upon both, backward as well,
    goes pixel by pixel: about a third of a step of AlexNet or GoogLeNet on a CPU.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (the name is PyTorch's)
        """Normalise features (N, C, H, W)."""
        if input.is_contiguous() or not input.is_contiguous(memory_format=torch.channels_last):
            return super().forward(input)
        squares = (input * input).permute(0, 2, 3, 1)  # (N, H, W, C), channels next to each other
        squares = squares.to(torch.promote_types(squares.dtype, torch.float32))  # as autocast does
        padded = functional.pad(squares, (self.size // 2, (self.size - 1) // 2))
        means = functional.avg_pool1d(padded.flatten(0, 2).unsqueeze(1), self.size, stride=1)
        means = means.view_as(squares).permute(0, 3, 1, 2)
        return input / (means * self.alpha + self.k).pow(self.beta)
