"""What a network with auxiliary heads gives while it is trained, and the loss of those heads."""

from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor
from torch.nn import functional


@runtime_checkable
class WithHeads(Protocol):
    """A network that gives `Outputs` while its own `training` is set, whatever its layers' is."""

    auxiliary_weight: float


class Outputs(NamedTuple):
    """The logits that count, those of the auxiliary heads, and the weight of their losses.

    Attributes:
        logits: (N, num_classes).
        auxiliaries: (N, num_classes) each, by the head's name, the one nearest to the images first.
        weight: Of each head's loss in the sum that is trained on; the logits' own has 1.
    """

    logits: Tensor
    auxiliaries: dict[str, Tensor]
    weight: float


def main_logits(output: Tensor | Outputs) -> Tensor:
    """Give the logits that count, (N, num_classes), of any network's output."""
    return output.logits if isinstance(output, Outputs) else output


def add_auxiliary_losses(
    loss: Tensor, output: Tensor | Outputs, labels: Tensor, *, label_smoothing: float
) -> Tensor:
    """Give what is trained on: the main loss and the heads' weighted cross-entropies.

    Args:
        loss: () of the logits that count.
        output: Of a network that is being trained; one without heads leaves the loss as it is.
        labels: (N,).
        label_smoothing: As for the main loss.
    """
    if not isinstance(output, Outputs):
        return loss
    for logits in output.auxiliaries.values():
        loss = loss + output.weight * functional.cross_entropy(
            logits.float(), labels, label_smoothing=label_smoothing
        )
    return loss
