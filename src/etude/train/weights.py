"""Weights that a network begins with instead of random ones: torchvision's, a run's, or a file's.

A layer is loaded whole or stays as it was drawn; which, is reported.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from etude.base.digests import digest_of_file
from etude.base.errors import UserError
from etude.base.identity import as_weights
from etude.base.lazy import torch, torchvision
from etude.runs.names import BEST
from etude.runs.records import read_summary
from etude.runs.state import RunState
from etude.runs.status import state_of
from etude.train.layers import LoadedLayers, by_layer, copy_layers
from etude.train.weights_file import best_of, read

log = logging.getLogger(__name__)

IMAGENET = "imagenet"
EDITION = "IMAGENET1K_V1"  # of torchvision's weights: those of the papers' recipes


class WeightsSource(NamedTuple):
    """The keys of `init` that say which weights a network begins with.

    Args:
        weights: `imagenet`, the path of a run's folder or of a file, or None for none at all.
        weights_file: Where torchvision's file is, instead of in torch.hub's cache.
        weights_names: The file's name of each of our layers that is to be loaded; these must fit.
            None for all of the same name, or with `imagenet` of the same place in the network.
        download: Whether torch.hub may fetch torchvision's file.
    """

    weights: str | None
    weights_file: str | None
    weights_names: Mapping[str, str] | None
    download: bool | None

    @classmethod
    def of(cls, init: Mapping[str, Any]) -> WeightsSource:
        """Pick them out of an initialisation's settings; a user's own may have none."""
        return cls(**{key: init.get(key) for key in cls._fields})


@runtime_checkable
class Published(Protocol):
    """A network that torchvision has weights for: its name there, and its layers' names by ours."""

    torchvision_name: str
    torchvision_layers: dict[str, str]


def find(wanted: WeightsSource) -> Path | None:
    """Find the file that is wanted; None if there is none, or it is torch.hub's.

    Raises:
        UserError: It is missing, or the keys contradict each other.
    """
    weights, file = wanted.weights, wanted.weights_file
    if weights is None:
        for key in ("weights_file", "weights_names"):
            if getattr(wanted, key) is not None:
                raise UserError(f"init.{key} needs init.weights: a run's folder or {IMAGENET}")
        return None
    if weights != IMAGENET and file is not None:
        raise UserError(
            f"init.weights_file={file} stands for torchvision's file, so init.weights={weights} "
            f"must be {IMAGENET}; another file is given as init.weights=<path>"
        )
    key, path = ("weights_file", file) if weights == IMAGENET else ("weights", weights)
    return None if path is None else _existing(key, Path(path).expanduser())


def content(wanted: WeightsSource, runs: Mapping[str, str]) -> str | None:
    """Tell the wanted weights from others, wherever they lie.

    Args:
        wanted: Which weights.
        runs: Those that are still to be made, as `as_weights` names them, by absolute folder.

    Returns:
        None for none; `imagenet` for torchvision's, as published; for a run's folder what
        `as_weights` gives; else a digest of what the file holds.

    Raises:
        UserError: They are missing, or the keys contradict each other.
    """
    weights = wanted.weights
    if weights is None:
        return None
    if weights != IMAGENET and (run := _run(weights, runs)) is not None:
        return run
    path = find(wanted)
    return weights if path is None else digest_of_file(path)


def check(model: torch.nn.Module, wanted: WeightsSource) -> None:
    """Check that weights are at hand, and that the model has the layers that they are for.

    Args:
        model: May be on the meta device.
        wanted: Which weights; no file is read.

    Raises:
        UserError: Something is missing.
    """
    path = find(wanted)
    if wanted.weights is None:
        return
    _names(model, wanted)
    if path is None and not wanted.download:
        address, cached = _published(model)
        if not cached.exists():
            raise UserError(
                f"init.weights={IMAGENET} needs {cached.name}: set init.download=true, "
                f"put {address} into {cached.parent}, or set init.weights_file=<path>"
            )


def load(model: torch.nn.Module, wanted: WeightsSource) -> LoadedLayers | None:
    """Load weights into the layers of an initialised model, in place; None if none are wanted.

    Raises:
        UserError: They are not at hand, are no weights, or do not fit.
    """
    if wanted.weights is None:
        return None
    check(model, wanted)
    path = find(wanted) or _fetched(model)
    names, theirs = _names(model, wanted), by_layer(read(path))
    try:
        report = copy_layers(by_layer(model.state_dict()), theirs, names)
    except ValueError as error:
        raise UserError(f"init.weights={wanted.weights}: {error} in {path}") from error
    if wanted.weights_names is not None and (left := [n for n in names if n in report.fresh]):
        odd = {mismatch.layer: str(mismatch) for mismatch in report.mismatched}
        problem = odd.get(left[0], f"{left[0]}: there is no layer {names[left[0]]}")
        raise UserError(f"init.weights_names: {problem} ({path})")
    if not report.loaded:
        raise UserError(
            f"init.weights={wanted.weights}: no layer of {path} fits {type(model).__name__}; "
            "layers of other names are given as init.weights_names"
        )
    return report


def _existing(key: str, path: Path) -> Path:
    """Give a file, or a run's best weights."""
    found = path / BEST if path.is_dir() else path
    summary = read_summary(path) if path.is_dir() else None
    if found.is_file():
        return found if summary is None else best_of(path, summary["fingerprint"])
    way_out = "let that run finish" if path.is_dir() else "give a run's folder or a file of weights"
    if state_of(summary) is RunState.DIVERGED:
        way_out = "that run diverged, so give another one"
    raise UserError(f"init.{key}={path}: there is no {found}; {way_out}")


def _run(path: str, runs: Mapping[str, str]) -> str | None:
    """Name the run that a folder holds, or will; None for any other path."""
    folder = Path(path).expanduser()
    summary = read_summary(folder)
    if summary is not None and "fingerprint" in summary:
        return as_weights(summary.get("hyperparameters", {}), summary["fingerprint"])
    return runs.get(os.path.abspath(folder))  # noqa: PTH100


def _names(model: torch.nn.Module, wanted: WeightsSource) -> dict[str, str]:
    """Give the file's name for each of our layers that may be loaded."""
    layers = by_layer(model.state_dict())
    if wanted.weights_names is not None:
        for layer in wanted.weights_names:
            if layer not in layers:
                raise UserError(
                    f"init.weights_names: {type(model).__name__} has no layer {layer}; "
                    f"it has {', '.join(layers)}"
                )
        return dict(wanted.weights_names)
    if wanted.weights != IMAGENET:
        return {layer: layer for layer in layers}
    return _counterpart(model).torchvision_layers


def _counterpart(model: torch.nn.Module) -> Published:
    if isinstance(model, Published):
        return model
    raise UserError(
        f"init.weights={IMAGENET}: torchvision has no weights for {type(model).__name__}; "
        "give a run's folder or a file"
    )


def _published(model: torch.nn.Module) -> tuple[str, Path]:
    """Give the address of torchvision's weights for a model, and where torch.hub keeps them."""
    address = torchvision.models.get_model_weights(_counterpart(model).torchvision_name)[
        EDITION
    ].url
    return address, Path(torch.hub.get_dir(), "checkpoints", address.rpartition("/")[2])


def _fetched(model: torch.nn.Module) -> Path:
    """Give torchvision's file, from the network if it is not in torch.hub's cache."""
    address, cached = _published(model)
    if cached.exists():
        return cached
    log.info("downloading %s to %s …", address, cached.parent)
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        # A temporary file, moved into place once the hash in its name has been checked.
        prefix = cached.stem.rpartition("-")[2]
        torch.hub.download_url_to_file(address, str(cached), prefix, progress=False)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"init.download=true could not fetch {address} ({' '.join(str(error).split())}); "
            f"put {cached.name} into {cached.parent}, or set init.weights_file=<path>"
        ) from error
    return cached
