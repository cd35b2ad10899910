"""One forward pass before anything is trained: does a network take the images, tell the classes?

Étude's own networks are tested; this is for those of torchvision and of the user's own.
"""

import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from etude.base.errors import UserError
from etude.base.in_subprocess import in_subprocess
from etude.base.text import counted
from etude.config import Config, network_of, settings
from etude.data.sources.source import DatasetInfo
from etude.models.auxiliary import Outputs, main_logits
from etude.train.trained import Trained

_USUAL = (224, 299)  # the sides that torchvision's networks were made for
_REFUSALS = (RuntimeError, ValueError, TypeError, AssertionError)


class Network(NamedTuple):
    """A network as configured, and what it is to be trained on.

    Args:
        part: Its target and settings.
        packages: The user's own.
        channels: Of an image.
        side: Of an image, in pixels.
        classes: Of the data set.
        trained: Which of its parameters are.
    """

    part: Mapping[str, Any]
    packages: list[str]
    channels: int
    side: int
    classes: int
    trained: Trained = Trained(None, "evaluate")

    @classmethod
    def of(cls, config: Config, facts: DatasetInfo) -> Self:
        """Pick it out of a run's configuration."""
        side = config.dataset.input_size or facts.size
        part = settings(config.model)
        sizes = facts.channels, side, facts.num_classes
        return cls(part, config.packages, *sizes, Trained.of(config))

    @property
    def own(self) -> bool:
        """Whether its code is the user's, in a package or in a clone of Étude."""
        return not self.part["_target_"].startswith(("torch.", "torchvision."))

    def build(self) -> nn.Module:
        """Build it on the default device."""
        sizes = {"channels": self.channels, "classes": self.classes, "size": self.side}
        model: nn.Module = network_of(self.part, self.packages, **sizes)
        self.trained.choose(model)
        return model


def check(networks: Sequence[Network]) -> None:
    """Try networks that Étude does not bring, each once.

    Those of the user's own are tried in another process, for they may do anything; where they
    fail, training will say so, with a traceback.

    Raises:
        UserError: One does not take the images, or does not tell the data set's classes.
    """
    once = [network for i, network in enumerate(networks) if network not in networks[:i]]
    own = [network for network in once if network.own]
    with warnings.catch_warnings(action="ignore"):  # training will tell those that matter
        problems = [_problem(network) for network in once if not network.own]
        if own:
            problems += in_subprocess(partial(_problems_of_own, own), threads=1) or []
    for problem in filter(None, problems):
        raise UserError(f"model: {problem}")


def _problems_of_own(networks: Sequence[Network]) -> list[str]:
    return [_problem_of_own(network) for network in networks]


def _problem_of_own(network: Network) -> str:
    for device in ("meta", "cpu"):  # some need values, not shapes alone
        try:
            return _wrong_outputs(network, device)
        except Exception:  # noqa: BLE001, S112 (training will tell, with a traceback)
            continue
    return ""


def _problem(network: Network) -> str:
    try:
        return _wrong_outputs(network, "meta")
    except _REFUSALS as error:
        size = f"{network.channels}×{network.side}×{network.side}"
        said = f"{network.part['_target_']} does not take images of {size}"
        return f"{said}{_way_out(network) or ': ' + str(error).strip().partition(chr(10))[0]}"


def _way_out(network: Network) -> str:
    """Find out what it would take."""
    other = 4 - network.channels
    for side in (network.side, *_USUAL):
        if _takes(network, other, side) and not _takes(network, network.channels, side):
            data = "colour images, such as dataset=cifar10" if other == 3 else "grey images"
            return (
                f", but of {other} channel{'s' * (other > 1)}; choose {data}, or a network that "
                "asks for in_channels, such as model=resnet_cifar"
            )
    sides = [side for side in _USUAL if _takes(network, network.channels, side)]
    return f", but larger ones; set dataset.input_size={sides[0]}" if sides else ""


def _takes(network: Network, channels: int, side: int) -> bool:
    try:
        with torch.device("meta"):
            _outputs(network.build(), torch.empty(2, channels, side, side))
    except _REFUSALS:
        return False
    return True


def _wrong_outputs(network: Network, device: str) -> str:
    """Say what is wrong with what a network gives, if anything."""
    with torch.device(device):
        images = torch.zeros(2, network.channels, network.side, network.side)
        model = network.build()
        evaluated, trained = _outputs(model, images)
    name = network.part["_target_"]
    for output, when in ((evaluated, "when evaluated"), (trained, "while it is trained")):
        if not isinstance(output, Tensor) and not (output is trained and _is_ours(output)):
            aux = hasattr(model, "aux_logits")
            return f"{name} gives a {type(output).__name__} {when}, not the logits alone; " + (
                "set +model.aux_logits=false" if aux else "see etude.models.auxiliary.Outputs"
            )
        logits = main_logits(output)
        if logits.ndim != 2:
            shape = "×".join(map(str, logits.shape))
            return f"{name} gives {shape} outputs for two images; it must be 2×{network.classes}"
        if logits.shape[1] != network.classes:
            return _wrong_count(network, logits.shape[1])
    return ""


def _is_ours(output: object) -> bool:
    return isinstance(output, Outputs)


def _wrong_count(network: Network, count: int) -> str:
    given = "num_classes" in network.part
    way_out = "leave out" if given else "let it take"
    return (
        f"{network.part['_target_']} gives {counted(count, 'output')}, the data set has "
        f"{counted(network.classes, 'class')}; {way_out} num_classes, and it is given them"
    )


@torch.no_grad()
def _outputs(model: nn.Module, images: Tensor) -> tuple[Any, Any]:
    """Give what a network makes of images when evaluated, and while it is trained."""
    return model.eval()(images), model.train()(images)
