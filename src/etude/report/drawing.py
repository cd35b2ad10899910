"""Charts as SVG: on the page, which colours them and shows their hover texts, or as files."""

import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import resvg_py
from markupsafe import Markup

from etude.report.assets import asset, render
from etude.report.charts import Chart, Dots, Heat, Line, Lines
from etude.report.scale import Scale, fit
from etude.report.words import number

WIDTH = 380  # a phone's; wider screens show charts beside each other
BROAD = 1000  # of the arms on a desktop
DASHES = ("", "5 3", "1.5 2.5", "8 3 1.5 3")
_HEIGHT = 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 12, 40
_ENTRY = 16  # a line of the legend
_TITLE, _GAP = 22, 14  # above each chart of a file, and between two
_ZOOM = 1.5  # pixels of a PNG file for one of the chart's
# The colours of files; the page has its own, for light and dark, in `page.css`. Okabe & Ito,
# "Color universal design" (2008), without the yellow, which print loses.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#777777")
_PAPER = {"paper": "#ffffff", "ink": "#1b1f24", "soft": "#5c6670", "rule": "#d9dee3"}

_HOVERED = re.compile(r'<\w+ class="(?:spot|wide)"[^>]*/>\n|(?<=") data-tip="[^"]*"')


class Drawing(NamedTuple):
    """A chart, and what is drawn of it in a box of a width and a height."""

    chart: Chart
    width: float
    height: float
    body: Markup

    @property
    def lines(self) -> Sequence[Line]:
        """The lines that need a legend."""
        several = isinstance(self.chart, Lines) and len(self.chart.lines) > 1
        return self.chart.lines if several and isinstance(self.chart, Lines) else ()


class Placed(NamedTuple):
    """A drawing's place in a file."""

    x: float
    y: float
    drawing: Drawing


class DotsLayout(NamedTuple):
    """A chart of arms: its width, and whether each name is above its line or beside it."""

    width: float
    above: bool


class HeatLayout(NamedTuple):
    """The measures of a chart that is a table: its left, top, cell's width and height."""

    left: float
    top: float
    wide: float
    tall: float
    crowded: bool


def draw(chart: Chart, *, broad: bool = False) -> Drawing:
    """Draw a chart; one of arms with their seeds also as broad as a desktop."""
    if isinstance(chart, Lines):
        x, y = _scales(chart)
        body = render("lines.svg", chart=chart, x=x, y=y, dashes=DASHES, points=_points)
        return Drawing(chart, WIDTH, _HEIGHT, body)
    if isinstance(chart, Dots):
        return _draw_dots(chart, broad=broad)
    return _draw_heat(chart)


def picture(drawings: Sequence[Drawing]) -> str:
    """Put drawings beside each other into one SVG file, their colours and legend included."""
    columns = min(2, len(drawings))
    wide = max(drawing.width for drawing in drawings)
    places: list[Placed] = []
    bottom = 0.0
    for first in range(0, len(drawings), columns):
        row = drawings[first : first + columns]
        places += [Placed(i * (wide + _GAP), bottom + _TITLE, d) for i, d in enumerate(row)]
        bottom += _TITLE + max(drawing.height for drawing in row)
    lines = drawings[0].lines
    # A file has no script that would show hover texts; what carries them alone is left out.
    places = [p._replace(drawing=p.drawing._replace(body=_still(p.drawing.body))) for p in places]
    style = asset("chart.css")
    for name, colour in {**_PAPER, **{f"c{i}": c for i, c in enumerate(_COLOURS)}}.items():
        style = style.replace(f"var(--{name})", colour)
    return render(
        "picture.svg",
        width=columns * wide + (columns - 1) * _GAP,
        height=bottom + _ENTRY * -(-len(lines) // (2 * columns)),
        places=places,
        lines=[(8 + i % (2 * columns) * wide / 2, bottom + 6 + i // (2 * columns) * _ENTRY, line)
               for i, line in enumerate(lines)],
        dashes=DASHES,
        style=style,
    )  # fmt: skip


def _still(body: Markup) -> Markup:
    return Markup(_HOVERED.sub("", body))  # noqa: S704 (less of what was markup already)


def png(svg: str) -> bytes:
    """Turn an SVG file into pixels, with matplotlib's font: a machine may have none."""
    spec = find_spec("matplotlib")  # without loading it, which takes half a second
    fonts = Path(str(spec and spec.origin)).with_name("mpl-data") / "fonts" / "ttf"
    return resvg_py.svg_to_bytes(
        svg_string=svg,
        zoom=_ZOOM,
        background="white",
        skip_system_fonts=True,
        font_files=[str(fonts / "DejaVuSans.ttf")],
        font_family="DejaVu Sans",
        sans_serif_family="DejaVu Sans",
    )


def beyond(chart: Dots) -> str:
    """Say in words where guessing is, if it is not on the axis."""
    x = _scale_of_dots(chart, _layout(chart))
    if chart.chance is None or x.low <= chart.chance <= x.high:
        return ""
    return (
        f"guessing, {number(chart.chance)}, is {'left' if chart.chance < x.low else 'right'} of it"
    )


def _scales(chart: Lines) -> tuple[Scale, Scale]:
    """Choose what the two axes of a chart show, and where on it."""
    places = [x for line in chart.lines for x in line.x]
    ends = _LEFT, WIDTH - _RIGHT
    x = fit(places, *ends, logarithmic=chart.logarithmic, whole=chart.x_label == "epoch")
    edges = (v for line in chart.lines for v in (*line.y, *_told(chart, line)))
    return x, fit(edges, _HEIGHT - _BOTTOM, _TOP)


def _told(chart: Lines, line: Line) -> Sequence[float]:
    """Give the edges that decide the scale: not those of intervals far beyond all results."""
    if not chart.marked:
        return (*line.low, *line.high)
    means = [y for other in chart.lines for y in other.y]
    margin = 0.5 * (max(means) - min(means))
    low, high = min(means) - margin, max(means) + margin
    return [min(max(edge, low), high) for edge in (*line.low, *line.high)]


def _points(x: Scale, y: Scale, xs: Sequence[float], ys: Sequence[float]) -> str:
    return " ".join(f"{x(a)},{y(b)}" for a, b in zip(xs, ys, strict=True))


def _layout(chart: Dots, *, broad: bool = False) -> DotsLayout:
    """Put each arm's name above its line, so that long ones fit on a phone."""
    if not any(dot.values for dot in chart.dots):
        return DotsLayout(WIDTH, above=False)
    return DotsLayout(BROAD if broad else round(1.16 * WIDTH), above=not broad)


def _draw_dots(chart: Dots, *, broad: bool) -> Drawing:
    width, above = layout = _layout(chart, broad=broad)
    step, top = (34, 6) if above else (26, 8)
    bottom = top + step * len(chart.dots)
    lies = beyond(chart)
    x = _scale_of_dots(chart, layout)
    body = render(
        "dots.svg", chart=chart, x=x, above=above, step=step, top=top, bottom=bottom,
        marks=[("baseline", chart.reference), *([] if lies else [("guessing", chart.chance)])],
        label=f"{chart.x_label} ({lies})" if lies else chart.x_label,
    )  # fmt: skip
    return Drawing(chart, width, bottom + _BOTTOM, body)


def _scale_of_dots(chart: Dots, layout: DotsLayout) -> Scale:
    """Choose what the axis shows: the seeds of all that learnt, and of intervals what is near."""
    learnt = [dot for dot in chart.dots if not dot.guessing]
    dots = learnt if len(learnt) > 1 else chart.dots
    values = [v for dot in dots for v in (dot.mean, *dot.values)]
    values += [chart.reference] if chart.reference is not None else []
    margin = 0.25 * (max(values) - min(values))
    edges = (v for dot in dots for v in (dot.low, dot.high) if v is not None)
    inside = [min(max(v, min(values) - margin), max(values) + margin) for v in edges]
    beside = 0 if layout.above else 7 * max(len(dot.label) for dot in chart.dots)
    start = min(16 + beside, layout.width / 3)
    return fit([*values, *inside], start, layout.width - _RIGHT)


def _draw_heat(chart: Heat) -> Drawing:
    left = min(16 + 6.5 * max(map(len, chart.rows)), 150)
    wide = max(24.0, min(90.0, (WIDTH - left - _RIGHT) / len(chart.columns)))
    crowded = max(map(len, chart.columns)) * 6.5 > wide
    table = HeatLayout(left, 8, wide, 26 if len(chart.rows) > 4 else 38, crowded)
    foot = table.top + table.tall * len(chart.rows) + (75 if crowded else 32)
    width = left + wide * len(chart.columns) + _RIGHT
    middle = (left + width) / 2
    body = render("heat.svg", chart=chart, table=table, foot=foot, middle=middle)
    return Drawing(chart, width, foot + 8, body)
