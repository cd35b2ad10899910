"""A network's tensors by layer: which of a file's fit it, and loading those that do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from etude.base.lazy import torch
from etude.base.text import counted

Shape = tuple[int, ...]
Layers = dict[
    str, dict[str, "torch.Tensor"]
]  # by the layer's name, then weight, bias, running_mean, …


class Mismatch(NamedTuple):
    """A layer of another shape in the file: that of its first such tensor, None if missing."""

    layer: str
    ours: Shape | None
    theirs: Shape | None

    def __str__(self) -> str:
        """Name both shapes."""
        return f"{self.layer} is {_sizes(self.ours)} here and {_sizes(self.theirs)} there"


class LoadedLayers(NamedTuple):
    """The layers that were loaded, those that were not, and of these the ones that do not fit."""

    loaded: list[str]
    fresh: list[str]
    mismatched: list[Mismatch]

    def plain(self) -> dict[str, object]:
        """Give it as JSON has it."""
        return {**self._asdict(), "mismatched": [odd._asdict() for odd in self.mismatched]}

    def lines(self) -> list[str]:
        """Put it into words: how many, the loaded ones, the others."""
        shapes = {mismatch.layer: mismatch for mismatch in self.mismatched}
        numbers = f"{counted(len(self.loaded), 'layer')} loaded, {len(self.fresh)} fresh"
        return [
            f"weights: {numbers}, {len(self.mismatched)} of them for their shapes",
            f"loaded: {', '.join(self.loaded)}",
            f"fresh: {', '.join(str(shapes.get(layer, layer)) for layer in self.fresh) or 'none'}",
        ]


def by_layer(state: Mapping[str, torch.Tensor]) -> Layers:
    """Sort a network's tensors by the layer that they belong to."""
    layers: Layers = {}
    for key, tensor in state.items():
        layer, _, name = key.rpartition(".")
        if name != "num_batches_tracked":  # decides nothing, and older files are without it
            layers.setdefault(layer, {})[name] = tensor
    return layers


def copy_layers(ours: Layers, theirs: Layers, names: Mapping[str, str]) -> LoadedLayers:
    """Load each layer of ours that has a name there, and the same tensors under it.

    Args:
        ours: They are written to.
        theirs: They are read.
        names: Their layer's name by ours.

    Raises:
        ValueError: One fits by its shapes, and has no weights all the same.
    """
    report = LoadedLayers([], [], [])
    for layer, tensors in ours.items():
        there = theirs.get(names[layer], {}) if layer in names else {}
        mismatch = _mismatch(layer, tensors, there)
        if mismatch is None:
            for name, tensor in tensors.items():
                _check_numbers(f"{names[layer]}.{name}", tensor, there[name])
                tensor.copy_(there[name])
            report.loaded.append(layer)
            continue
        report.fresh.append(layer)
        if there:
            report.mismatched.append(mismatch)
    return report


def _check_numbers(name: str, ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Refuse whole or complex numbers, and what a network had when it diverged."""
    if ours.is_floating_point() and not theirs.is_floating_point():
        raise ValueError(f"{name} is no weight, but of {str(theirs.dtype).removeprefix('torch.')}")
    if theirs.isnan().any():
        raise ValueError(f"{name} is not a number (NaN) somewhere")


def _mismatch(
    layer: str, ours: Mapping[str, torch.Tensor], theirs: Mapping[str, torch.Tensor]
) -> Mismatch | None:
    for name in {**ours, **theirs}:
        here, there = _shape(ours.get(name)), _shape(theirs.get(name))
        if here != there:
            return Mismatch(layer, here, there)
    return None


def _shape(tensor: torch.Tensor | None) -> Shape | None:
    return None if tensor is None else tuple(tensor.shape)


def _sizes(shape: Shape | None) -> str:
    return "missing" if shape is None else "×".join(map(str, shape))
