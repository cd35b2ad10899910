"""Local response normalisation: Krizhevsky et al., NIPS 2012, section 3.3."""

from typing import TypedDict

from torch import nn


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
    return nn.LocalResponseNorm(size, alpha=lrn["alpha"] * size, beta=lrn["beta"], k=lrn["k"])
