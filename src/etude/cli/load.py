"""A run's folder back into its network: `etude.load`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast, get_args

import torch
from omegaconf import OmegaConf
from torch import Tensor, nn

from etude.base.errors import UserError
from etude.base.text import counted
from etude.config.build import network_of, targets_of
from etude.config.convert import section
from etude.config.known import Problem
from etude.config.schema import SCHEMAS
from etude.runs.names import BEST, CONFIG, LAST, SUMMARY
from etude.runs.records import Summary, read_summary
from etude.runs.status import state_of
from etude.train.checkpoint import Checkpoints
from etude.train.weights_file import best_of, read, told_of

Weights = Literal["best", "last"]
Named = dict[str, Tensor]
_OURS = "etude.models."  # the only ones of Étude's own that a folder may name


class Learned(NamedTuple):
    """How long weights have learned.

    Attributes:
        epochs: Whole ones.
        steps: Of the next epoch.
    """

    epochs: int
    steps: int = 0

    def __str__(self) -> str:
        """Say it in words."""
        if not self.steps:
            return f"epoch {self.epochs}"
        return f"{counted(self.epochs, 'epoch')} and {counted(self.steps, 'step')} of the next"


def load(
    folder: str | Path, weights: Weights = "best", *, packages: Sequence[str] = ()
) -> nn.Module:
    """Give a run's network, in evaluation mode, on the CPU.

    It takes images (N, C, H, W) as `etude.inputs` makes them, and gives logits (N, classes).

    Nothing in the folder is run or unpickled: weights are read as tensors, and the network's class
    has to be one of Étude's, PyTorch's, torchvision's, or of a package that is named here.

    Args:
        folder: The run's, from this machine or another.
        weights: `best`, those of the epoch that was selected, once the run has finished; or `last`,
            those of its last checkpoint (where weights are averaged, the average).
        packages: Packages of your own that the network's class may come from. What the folder says
            of them is not heeded.

    Raises:
        UserError: The folder has no such weights, or its network is of another package.
    """
    return load_and_tell(folder, weights, packages=packages)[0]


def load_and_tell(
    folder: str | Path, weights: Weights, *, packages: Sequence[str] = ()
) -> tuple[nn.Module, Learned]:
    """Give a run's network as `load` does, and how long it has learned.

    Raises:
        UserError: See `load`.
    """
    if weights not in get_args(Weights):
        raise UserError(f"weights={weights} must be one of {', '.join(get_args(Weights))}")
    folder = Path(folder)
    summary: Any = read_summary(folder)
    if summary is None:
        raise UserError(f"{folder} has no {SUMMARY}; give the folder of one run")
    network = _built(_part(folder), summary["data"], folder, packages)
    found, learned = (_best if weights == "best" else _last)(folder, summary)
    network.load_state_dict(found)
    return network.eval(), learned


def _part(folder: Path) -> dict[str, Any]:
    """Read the network's settings, as text and nothing else."""
    try:
        found: Any = OmegaConf.to_container(OmegaConf.load(folder / CONFIG), resolve=False)
        part: Any = found["model"]
        return {**part, "_target_": str(part["_target_"])}
    except OSError as error:
        raise UserError(f"{folder} has no {CONFIG}; give the folder of one run") from error
    except Exception as error:  # whatever a damaged file makes the parser raise
        raise UserError(f"{folder / CONFIG} has no model with a _target_; it is damaged") from error


def _built(
    part: Mapping[str, Any], data: Mapping[str, Any], folder: Path, packages: Sequence[str]
) -> nn.Module:
    strange = [t for t in targets_of(dict(part)) if t.startswith("etude.") and t not in SCHEMAS]
    strange += [t for t in targets_of(dict(part)) if t in SCHEMAS and not t.startswith(_OURS)]
    if strange:
        raise UserError(f"{folder / CONFIG}: {strange[0]} is none of Étude's networks")
    if "channels" not in data:
        raise UserError(
            f"{folder / SUMMARY} does not tell its images' shape, as those of earlier versions; "
            "fresh=true trains the run again"
        )
    sizes = {key: data[key] for key in ("channels", "classes", "size")}
    with torch.random.fork_rng(devices=[]):  # its first weights are drawn, and not kept
        return network_of(_typed(part, folder), packages, **sizes)


def _typed(part: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """Read the settings of a network of Étude's as its schema has them; leave others as written."""
    schema = SCHEMAS.get(part["_target_"])
    if schema is None:
        return dict(part)
    later = {f.name: f.metadata["since"] for f in fields(schema) if "since" in f.metadata}
    problems: list[Problem] = []
    typed = section({**later, **part}, schema, "model.", problems)
    if problems:
        raise UserError("\n".join(f"{folder / CONFIG}: {problem.text}" for problem in problems))
    return typed


def _best(folder: Path, summary: Summary) -> tuple[Named, Learned]:
    if not (folder / BEST).exists():
        raise UserError(
            f"{folder} has no {BEST}; let the run finish, or take the last weights "
            '(--weights last; in Python weights="last")'
        )
    path = best_of(folder, summary["fingerprint"])
    epochs = told_of(path).get("epoch", summary.get("best", {}).get("epoch", 0))
    return read(path), Learned(int(epochs))


def _last(folder: Path, summary: Summary) -> tuple[Named, Learned]:
    kept = Checkpoints(folder, identity={}, every_seconds=0.0, every_steps=None).load()
    if kept is None:
        lost = "it was removed; take the best weights"
        why = lost if state_of(summary).has_result else "the run has saved nothing yet"
        raise UserError(f"{folder} has no {LAST}: {why}")
    return cast("Named", kept["average"] or kept["model"]), Learned(kept["epoch"], kept["step"])
