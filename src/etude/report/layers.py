"""How signals spread through each arm's network before its first step, beside what arithmetic says.

The runs wrote it down themselves, with `record.layers=true`.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TypedDict

from etude.report.read import RunFolder
from etude.report.results import Results
from etude.report.table import Cell
from etude.report.words import NONE
from etude.runs.names import LAYERS
from etude.runs.records import read_as

TITLES = (
    ("arm", ""),
    ("predicted gain", "of all layers but the last, one after the other, each followed by ReLU"),
    ("first layer", "standard deviation of its outputs over a batch"),
    ("middle layer", "likewise"),
    ("last layer", "likewise: of the logits, before any batch norm"),
    ("gradient, first", "standard deviation of the loss's gradient by the first layer's outputs"),
    ("gradient, middle", "likewise"),
    ("gradient, last", "likewise"),
)


class LayerSpread(TypedDict):
    """What `layers.json` says of a layer; None is what was not finite."""

    layer: str
    activation: float | None
    gradient: float | None
    gain: float


class _File(TypedDict):
    layers: list[LayerSpread]


def layers_of(run: RunFolder) -> Sequence[LayerSpread]:
    """Give a run's layers in their order; none where they were not recorded."""
    found = read_as(run.folder / LAYERS, _File, whole=True)
    return [] if found is None else found["layers"]


def lines(results: Results) -> Iterator[list[Cell]]:
    """Give a row for each arm that has a run with layers: its first seed's."""
    for row in results.rows:
        layers = next(filter(None, map(layers_of, row.arm.runs)), [])
        if layers:
            ends = (layers[0], layers[len(layers) // 2], layers[-1])
            gain = math.prod(layer["gain"] for layer in layers[:-1])
            numbers = [gain, *(end["activation"] for end in ends), *(e["gradient"] for e in ends)]
            yield [Cell(row.label, row.label), *map(_cell, numbers)]


def records(results: Results) -> Iterator[Mapping[str, object]]:
    """Give every layer of every run, for a file."""
    for row in results.rows:
        for run in row.arm.runs:
            for number, layer in enumerate(layers_of(run), 1):
                yield {"arm": row.label, "seed": run.seed, "number": number, **layer}


def _cell(value: float | None) -> Cell:
    return Cell(NONE if value is None else f"{value:.2g}", value)
