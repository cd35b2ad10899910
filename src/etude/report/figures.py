"""Charts as PNG files, drawn by matplotlib."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator
from matplotlib.transforms import ScaledTranslation

from etude.report import svg
from etude.report.charts import Chart, Dots, Heat, Line, Lines
from etude.report.palette import COLOURS
from etude.report.scale import Scale, tick_label

DASHES: tuple[Any, ...] = ("solid", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
DPI = 110
_LEGEND = 3  # columns
_LETTER = 0.075  # inches of a letter at 9 points
_DIGITS = 7  # letters left of an axis until its label
_BELOW = 0.25  # inches below an axis until its label


def save(group: Sequence[Chart], folder: Path) -> None:
    """Draw charts side by side into one PNG, named after the first."""
    with mpl.rc_context({"font.size": 9}):
        _draw(group).savefig(
            folder / f"{group[0].name}.png", dpi=DPI, pil_kwargs={"compress_level": 3}
        )


def _draw(group: Sequence[Chart]) -> Figure:
    columns = min(2, len(group))
    rows = -(-len(group) // columns)
    left = 0.3 + _LETTER * max(_letters_left(chart) for chart in group)
    lines = group[0].lines if isinstance(group[0], Lines) and len(group[0].lines) > 1 else ()
    legend = 0.2 * -(-len(lines) // _LEGEND)
    panel = max(_height(chart) for chart in group) + 1.1
    size = columns * (left + 4.3), rows * panel + legend
    figure = Figure(figsize=size)
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    # Margins by counting letters: matplotlib's own layouts draw everything twice to measure it.
    figure.subplots_adjust(
        left=left / size[0],
        right=1 - 0.15 / size[0],
        bottom=(0.75 + legend) / size[1],
        top=1 - 0.35 / size[1],
        wspace=(left + 0.15) / 4.15,
        hspace=1.1 / (panel - 1.1),
    )
    for axes, chart in zip(panels, group, strict=False):
        if isinstance(chart, Lines):
            _lines(axes, chart)
        elif isinstance(chart, Dots):
            _dots(axes, chart)
        else:
            _heat(axes, chart)
        axes.set_title(chart.title, fontsize="medium", y=1.01)
        axes.set_xlabel(chart.x_label)
        if not isinstance(chart, Heat):
            _hold_labels(axes, figure)
    if lines:
        place: dict[str, Any] = {"loc": "lower center", "ncols": _LEGEND, "frameon": False}
        figure.legend(handles=[_handle(line) for line in lines], fontsize="small", **place)
    return figure


def _hold_labels(axes: Any, figure: Figure) -> None:
    """Fix the labels' distance from the axes; matplotlib measures every tick to find its own."""
    for axis, x, y, inches in (
        (axes.xaxis, 0.5, 0, (0, -_BELOW)),
        (axes.yaxis, 0, 0.5, (-_LETTER * _DIGITS, 0)),
    ):
        shift = ScaledTranslation(*inches, figure.dpi_scale_trans)
        axis.set_label_coords(x, y, transform=axes.transAxes + shift)


def _handle(line: Line) -> Line2D:
    return Line2D([], [], label=line.label, lw=1.3, **_look(line))


def _look(line: Line) -> dict[str, Any]:
    return {"color": COLOURS[line.style.colour], "linestyle": DASHES[line.style.dash]}


def _height(chart: Chart) -> float:
    """Give a panel's height in inches, without its margins."""
    if isinstance(chart, Lines):
        return 2.3
    return 0.3 * len(chart.dots if isinstance(chart, Dots) else chart.rows)


def _letters_left(chart: Chart) -> int:
    if isinstance(chart, Lines):
        return _DIGITS
    if isinstance(chart, Dots):
        return max(len(dot.label) for dot in chart.dots)
    return max(len(name) for name in chart.rows) + 3


def _lines(axes: Any, chart: Lines) -> None:
    if chart.marked:
        for line in chart.lines:
            axes.errorbar(line.x, line.y, _arms(line), marker="o", ms=4, capsize=2, **_look(line))
    else:
        _curves(axes, chart.lines)
    x, y = svg.scales(chart)
    if chart.logarithmic:
        axes.set_xscale("log")
    _ticks(axes.xaxis, x)
    _ticks(axes.yaxis, y)
    axes.set_xlim(x.low, x.high)
    axes.set_ylim(y.low, y.high)
    axes.set_ylabel(chart.y_label)
    axes.grid(alpha=0.3)


def _curves(axes: Any, lines: Sequence[Line]) -> None:
    """Add all bands and all lines as one artist each, which takes half the time of one by one."""
    colours = [COLOURS[line.style.colour] for line in lines]
    bands = [
        [*zip(n.x, n.low, strict=True), *zip(n.x[::-1], n.high[::-1], strict=True)] for n in lines
    ]
    axes.add_collection(PolyCollection(bands, facecolors=colours, alpha=0.15, linewidths=0))
    points = [list(zip(line.x, line.y, strict=True)) for line in lines]
    dashes = [DASHES[line.style.dash] for line in lines]
    axes.add_collection(LineCollection(points, colors=colours, linestyles=dashes, linewidths=1.3))
    for line in lines:
        if len(line.x) == 1:
            axes.plot(line.x, line.y, "o", color=_look(line)["color"])


def _ticks(axis: Any, scale: Scale) -> None:
    """Set an axis's ticks; matplotlib's own search for good ones takes most of its time."""
    places = scale.ticks()
    axis.set_minor_locator(NullLocator())
    axis.set_ticks(places, [tick_label(place) for place in places])


def _arms(line: Line) -> list[list[float]]:
    below = [y - low for y, low in zip(line.y, line.low, strict=True)]
    return [below, [high - y for y, high in zip(line.y, line.high, strict=True)]]


def _dots(axes: Any, chart: Dots) -> None:
    places = list(range(len(chart.dots)))[::-1]
    for place, dot in zip(places, chart.dots, strict=True):
        colour = COLOURS[dot.style.colour]
        if dot.low is not None and dot.high is not None:
            axes.plot([dot.low, dot.high], [place, place], color=colour, lw=1.5)
        if len(dot.values) > 1:
            axes.plot(dot.values, [place] * len(dot.values), "o", color=colour, ms=4, alpha=0.4)
        axes.plot(dot.mean, place, "D", color=colour, ms=6)
    if chart.reference is not None:
        axes.axvline(chart.reference, color="0.4", lw=0.8)
    if chart.chance is not None:
        axes.axvline(chart.chance, color="0.4", lw=0.8, ls=":")
    x = svg.scale_of_dots(chart)
    _ticks(axes.xaxis, x)
    axes.set_xlim(x.low, x.high)
    axes.set_yticks(places, [dot.label for dot in chart.dots])
    axes.set_ylim(-0.6, len(places) - 0.4)
    axes.grid(alpha=0.3, axis="x")


def _heat(axes: Any, chart: Heat) -> None:
    shares = [[0.0 if share is None else share for share in row] for row in chart.shares]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.15, aspect="auto")
    for r, texts in enumerate(chart.texts):
        for c, text in enumerate(texts):
            colour = "white" if shares[r][c] > 0.6 else "black"
            axes.text(c, r, text, ha="center", va="center", color=colour, fontsize="small")
    long = max(map(len, chart.columns)) * len(chart.columns) > 60
    look: dict[str, Any] = {"rotation": 20, "ha": "right"} if long else {}
    axes.set_xticks(range(len(chart.columns)), chart.columns, **look)
    axes.set_yticks(range(len(chart.rows)), chart.rows)
    axes.set_ylabel(chart.y_label)
