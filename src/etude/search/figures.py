"""A search in two pictures: each key's importance, and all trials as lines across the keys."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from etude.atomic import replacing
from etude.search.axis import Axis, Numbers
from etude.search.settings import SearchConf

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from optuna.trial import FrozenTrial


def draw_importance(weights: Mapping[str, float], path: Path, *, metric: str) -> None:
    """Draw each key's share of the variance as a bar, the greatest on top."""
    figure = _figure(width=7, height=1 + 0.4 * len(weights))
    axes = figure.subplots()
    bars = axes.barh(list(weights)[::-1], list(weights.values())[::-1])
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.set_xlim(0, 1.08)
    axes.set_xlabel(f"share of the variance of {metric}")
    _save(figure, path)


def draw_parallel(
    trials: "Sequence[FrozenTrial]", axes: Mapping[str, Axis], path: Path, settings: SearchConf
) -> None:
    """Draw each trial as a line across the keys, coloured by what it came to.

    Args:
        trials: Complete ones, the best first.
        axes: What was searched over.
        path: Of the PNG.
        settings: The search's.
    """
    import matplotlib as mpl  # noqa: PLC0415 (0.5 s, only here)

    figure = _figure(width=2.4 * (len(axes) + 1), height=4)
    plot = figure.subplots()
    values = [float(trial.values[0]) for trial in trials]
    low, high = min(values), max(values)
    colours = mpl.colormaps["viridis"]
    for trial, value in reversed(list(zip(trials, values, strict=True))):  # the best lies on top
        share = (value - low) / (high - low) if high > low else 1.0
        heights = [_height(axis, trial.params[key]) for key, axis in axes.items()]
        plot.plot([*heights, share], color=colours(share), linewidth=1 + (value == values[0]))
    plot.set_xticks(range(len(axes) + 1), [*axes, settings.metric])
    plot.set_yticks([])
    plot.set_ylim(-0.08, 1.08)
    for index, axis in enumerate(axes.values()):
        _mark(plot, index, _ticks(axis))
    _mark(plot, len(axes), [(0.0, f"{low:.4g}"), (1.0, f"{high:.4g}")])
    _save(figure, path)


def _height(axis: Axis, value: Any) -> float:
    """Place a value between 0 and 1."""
    if isinstance(axis, Numbers):
        low, high, value = (
            math.log(number) if axis.log else number for number in (axis.low, axis.high, value)
        )
        return (value - low) / (high - low) if high > low else 0.5
    return axis.words.index(value) / max(1, len(axis.words) - 1)


def _ticks(axis: Axis) -> list[tuple[float, str]]:
    if isinstance(axis, Numbers):
        return [(0.0, f"{axis.low:g}"), (1.0, f"{axis.high:g}")]
    return [(_height(axis, word), word) for word in axis.words]


def _mark(plot: "Axes", index: int, ticks: list[tuple[float, str]]) -> None:
    plot.axvline(index, color="0.7", linewidth=0.8, zorder=0)
    for height, text in ticks:
        plot.text(index, height, f" {text}", fontsize="small", va="center")


def _figure(*, width: float, height: float) -> "Figure":
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 (0.5 s, only here)
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: "Figure", path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
