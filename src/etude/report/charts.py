"""What a chart shows, as numbers; `drawing` draws it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Style:
    """How an arm looks everywhere: one of the colours, one of the dashes."""

    colour: int
    dash: int


@dataclass(frozen=True)
class Line:
    """One arm's points.

    Args:
        label: The arm's name.
        style: Its look.
        x: Places.
        y: Means.
        low: Lower edge of the band (or of the bars, with `Lines.marked`).
        high: Its upper edge.
    """

    label: str
    style: Style
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


@dataclass(frozen=True)
class Lines:
    """Lines over an axis; `logarithmic` is the axis, `marked` draws points with bars."""

    name: str
    title: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    logarithmic: bool = False
    marked: bool = False


@dataclass(frozen=True)
class Dot:
    """One arm: its mean, its interval where it has one, its seeds; `guessing` learnt nothing."""

    label: str
    style: Style
    mean: float
    low: float | None
    high: float | None
    values: Sequence[float]
    note: str
    guessing: bool = False


@dataclass(frozen=True)
class Dots:
    """Arms below each other; `reference` is the baseline's value, `chance` that of guessing."""

    name: str
    title: str
    x_label: str
    dots: Sequence[Dot]
    reference: float | None = None
    chance: float | None = None


@dataclass(frozen=True)
class Heat:
    """A table whose cells are shaded; `None` is an empty cell, `share` the shade in [0, 1]."""

    name: str
    title: str
    x_label: str
    y_label: str
    columns: Sequence[str]
    rows: Sequence[str]
    texts: Sequence[Sequence[str]]
    shares: Sequence[Sequence[float | None]]


Chart = Lines | Dots | Heat
