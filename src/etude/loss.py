"""What training makes small: cross-entropy, unless a network brings a loss of its own."""

from typing import Protocol, runtime_checkable

from torch import Tensor, nn
from torch.nn import functional


@runtime_checkable
class OwnLoss(Protocol):
    """A network with a loss that is not the cross-entropy of its outputs."""

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Give the loss of each image, (N,) float32, of outputs (N, classes) and labels (N,)."""
        ...


def loss_of(
    model: nn.Module,
    outputs: Tensor,
    labels: Tensor,
    *,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """Compute the loss of a batch, ().

    Args:
        model: Where the outputs are from.
        outputs: (N, classes); the largest is the class that is told.
        labels: (N,).
        label_smoothing: Share of the target that is spread over all classes; 0 for a network with
            its own loss.
        reduction: `mean` or `sum` over the images.
    """
    if isinstance(model, OwnLoss):
        losses = model.loss(outputs.float(), labels)
        return losses.mean() if reduction == "mean" else losses.sum()
    return functional.cross_entropy(
        outputs.float(), labels, label_smoothing=label_smoothing, reduction=reduction
    )
