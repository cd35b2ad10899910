"""Which of a network's parameters are trained, and what becomes of batch norms that are not.

Keras 2 normalised by the batch in layers with `trainable=False`; its successors evaluate them. The
words for it: `evaluate` keeps a frozen batch norm as it is, its running statistics too; `affine`
trains its weight and bias, and keeps the statistics; `train` has the statistics follow the batches
as well, as document 003 has it for ResNet-50 (system S12).
"""

from collections.abc import Iterator, Sequence
from types import MethodType
from typing import NamedTuple, Self

from torch import nn

from etude.base.errors import UserError
from etude.config import Config, network_of
from etude.train.names import fits, named

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_KEY = "train.trainable"


def network_for(config: Config, *, channels: int, classes: int, size: int) -> nn.Module:
    """Build a run's network for its images, on the default device, and choose what trains.

    Args:
        config: Of the run.
        channels: Of an image.
        classes: Of the data set.
        size: Side of an image, in pixels.

    Raises:
        UserError: It refuses its settings, or has no such parameters.
    """
    sizes = {"channels": channels, "classes": classes, "size": size}
    model: nn.Module = network_of(config.model, config.packages, **sizes)
    Trained.of(config).choose(model)
    return model


class Trained(NamedTuple):
    """What is trained of a network.

    Args:
        names: Patterns of the names of the parameters that are; None for those that the network
            itself trains.
        frozen_batch_norm: `evaluate`, `affine` or `train`; the first does nothing to a network that
            decides by itself what it trains.
    """

    names: Sequence[str] | None
    frozen_batch_norm: str

    @classmethod
    def of(cls, config: Config) -> Self:
        """Pick it out of a run's configuration."""
        return cls(config.train.trainable, config.train.frozen_batch_norm)

    def choose(self, model: nn.Module) -> None:
        """Mark the parameters, in place, and keep batch norms evaluated, whoever calls `train`.

        Raises:
            UserError: A pattern fits no parameter, or there are no frozen batch norms to train.
        """
        if self.names is not None:
            chosen = named(model, self.names, _KEY)
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(name in chosen)
        elif self.frozen_batch_norm == "evaluate":
            return
        frozen = list(self._frozen(model))
        if self.frozen_batch_norm != "evaluate":
            self._train(model, frozen)
        if self.frozen_batch_norm != "train":
            for layer in frozen:
                vars(layer)["train"] = MethodType(_stay_evaluated, layer)
                layer.eval()

    def _frozen(self, model: nn.Module) -> Iterator[nn.Module]:
        """Give the batch norms that do not train; one without parameters is told by its name."""
        for name, layer in model.named_modules():
            if isinstance(layer, BATCH_NORMS):
                own = list(layer.parameters())
                trains = any(parameter.requires_grad for parameter in own)
                if not own:
                    trains = self.names is None or fits(f"{name}.weight", self.names)
                if not trains:
                    yield layer

    def _train(self, model: nn.Module, frozen: Sequence[nn.Module]) -> None:
        how, kind = f"train.frozen_batch_norm={self.frozen_batch_norm}", type(model).__name__
        if not frozen:
            raise UserError(f"{how}: {kind} has no frozen batch norm; leave it at evaluate")
        for layer in frozen:
            layer.requires_grad_()
        model.train()
        if self.frozen_batch_norm == "train" and not all(layer.training for layer in frozen):
            raise UserError(
                f"{how}: {kind} keeps its batch norms evaluated itself; "
                "use model.train_batch_norm=true, or train.frozen_batch_norm=affine"
            )


def _stay_evaluated(layer: nn.Module, mode: bool = True) -> nn.Module:  # noqa: ARG001, FBT001, FBT002
    """Take the place of a frozen batch norm's `train`."""
    return nn.Module.train(layer, mode=False)
