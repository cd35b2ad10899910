"""What training makes small: cross-entropy, unless a network brings a loss of its own."""

from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn
from torch.nn import functional

from etude.models.auxiliary import Outputs, add_auxiliary_losses, main_logits


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


class Losses(NamedTuple):
    """What a batch is learned from, and the part of it that is told.

    Attributes:
        total: () with auxiliary heads, which are learned from, and not told of.
        main: () of the logits that count.
        logits: (N, classes), those.
    """

    total: Tensor
    main: Tensor
    logits: Tensor


def training_losses(
    model: nn.Module, output: Tensor | Outputs, labels: Tensor, *, label_smoothing: float
) -> Losses:
    """Compute what a network's training makes small, a mean over the batch.

    Args:
        model: Where the output is from.
        output: What the network gave while it was trained.
        labels: (N,).
        label_smoothing: Share of the target that is spread over all classes; 0 for a network with
            its own loss.
    """
    logits = main_logits(output)
    main = loss_of(model, logits, labels, label_smoothing=label_smoothing)
    total = add_auxiliary_losses(main, output, labels, label_smoothing=label_smoothing)
    return Losses(total, main, logits)
