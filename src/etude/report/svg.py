"""Charts as SVG: on the page, which colours them and shows their hover texts, or as files."""

from collections.abc import Iterator, Sequence
from html import escape

from etude.report.assets import asset
from etude.report.charts import Chart, Dot, Dots, Heat, Line, Lines
from etude.report.palette import PAPER
from etude.report.scale import Scale, fit, tick_label
from etude.report.words import number

WIDTH = 380  # a phone's; wider screens show charts beside each other
_HEIGHT = 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 12, 40
_ENTRY = 16  # a line of the legend
_LARGEST = 1.35  # times its own size: larger letters than the text's look loud
DASHES = ("", "5 3", "1.5 2.5", "8 3 1.5 3")


def draw(chart: Chart) -> str:
    """Draw a chart as an `<svg>` element."""
    if isinstance(chart, Lines):
        return _lines(chart)
    if isinstance(chart, Dots):
        return _dots(chart)
    return _heat(chart)


def standalone(chart: Chart, svg: str) -> str:
    """Make a drawn chart a file of its own, its colours and its legend included."""
    style = asset("chart.css")
    for name, colour in PAPER.items():
        style = style.replace(f"var(--{name})", colour)
    css = f"<style>text {{ font: 11px sans-serif; }}\n{style}</style>"
    legend = ""
    if isinstance(chart, Lines) and len(chart.lines) > 1:
        legend = "".join(_legend(chart.lines))
        whole = _HEIGHT + _ENTRY * -(-len(chart.lines) // 2)
        svg = svg.replace(f'viewBox="0 0 {WIDTH} {_HEIGHT}"', f'viewBox="0 0 {WIDTH} {whole}"', 1)
    head, _, rest = svg.partition(">")
    drawn = rest.removesuffix("</svg>")
    return f'{head} xmlns="http://www.w3.org/2000/svg">{css}{drawn}{legend}</svg>\n'


def _legend(lines: Sequence[Line]) -> Iterator[str]:
    """Name the lines below the chart, two beside each other."""
    for index, line in enumerate(lines):
        x, y = 8 + index % 2 * WIDTH // 2, _HEIGHT + 4 + index // 2 * _ENTRY
        dash = f'stroke-dasharray="{DASHES[line.style.dash]}"'
        yield f'<g class="c{line.style.colour}"><path class="line" {dash} d="M{x} {y}h26"/></g>'
        yield f'<text x="{x + 32}" y="{y + 4}">{escape(line.label)}</text>'


def _svg(title: str, width: float, height: float, parts: Sequence[str]) -> str:
    most = _LARGEST * width
    return (
        f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(title)}" '
        f'style="max-width:{most:.0f}px">{"".join(parts)}</svg>'
    )


def _lines(chart: Lines) -> str:
    x, y = scales(chart)
    right, bottom = x.end, y.start
    parts = [*_grid_below(x, chart.x_label, _TOP, bottom), *_grid_left(y, chart.y_label, right)]
    for line in chart.lines:
        mark = _bars(line, x, y) if chart.marked else _band(line, x, y)
        parts.append(f'<g class="s c{line.style.colour}" data-arm="{escape(line.label)}">{mark}')
        parts.append(_path(line, x, y))
        parts += _points(chart, line, x, y)
        parts.append("</g>")
    return _svg(chart.title, WIDTH, _HEIGHT, parts)


def scales(chart: Lines) -> tuple[Scale, Scale]:
    """Choose what the two axes of a chart show, and where on it."""
    places = [x for line in chart.lines for x in line.x]
    x = fit(places, _LEFT, WIDTH - _RIGHT, logarithmic=chart.logarithmic)
    edges = (v for line in chart.lines for v in (*line.y, *_told(chart, line)))
    return x, fit(edges, _HEIGHT - _BOTTOM, _TOP)


def scale_of_dots(chart: Dots) -> Scale:
    """Choose what the axis shows: all seeds, and of intervals what is near them."""
    values = [v for dot in chart.dots for v in (dot.mean, *dot.values)]
    values += [v for v in (chart.reference, chart.chance) if v is not None]
    margin = 0.08 * (max(values) - min(values))
    edges = (v for dot in chart.dots for v in (dot.low, dot.high) if v is not None)
    inside = [min(max(v, min(values) - margin), max(values) + margin) for v in edges]
    beside = 0 if _spread(chart) else 7 * max(len(dot.label) for dot in chart.dots)
    width = _width(chart)
    return fit([*values, *inside], min(16 + beside, width / 3), width - _RIGHT)


def _spread(chart: Dots) -> bool:
    """Say whether there are seeds to show, and so names above the lines."""
    return any(dot.values for dot in chart.dots)


def _width(chart: Dots) -> float:
    return 1.16 * WIDTH if _spread(chart) else WIDTH


def _told(chart: Lines, line: Line) -> Sequence[float]:
    """Give the edges that decide the scale: not those of intervals far beyond all results."""
    if not chart.marked:
        return (*line.low, *line.high)
    means = [y for other in chart.lines for y in other.y]
    margin = 0.5 * (max(means) - min(means))
    low, high = min(means) - margin, max(means) + margin
    return [min(max(edge, low), high) for edge in (*line.low, *line.high)]


def _band(line: Line, x: Scale, y: Scale) -> str:
    if line.low == line.high:
        return ""
    forth = [f"{x(a):.1f},{y(b):.1f}" for a, b in zip(line.x, line.high, strict=True)]
    back = [f"{x(a):.1f},{y(b):.1f}" for a, b in zip(line.x, line.low, strict=True)]
    return f'<polygon class="band" points="{" ".join([*forth, *reversed(back)])}"/>'


def _bars(line: Line, x: Scale, y: Scale) -> str:
    ends = zip(line.x, line.low, line.high, strict=True)
    return "".join(
        f'<path class="bar" d="M{x(a):.1f} {y(low):.1f}V{y(high):.1f}"/>' for a, low, high in ends
    )


def _path(line: Line, x: Scale, y: Scale) -> str:
    points = (f"{x(a):.1f},{y(b):.1f}" for a, b in zip(line.x, line.y, strict=True))
    dash = DASHES[line.style.dash]
    return f'<polyline class="line" stroke-dasharray="{dash}" points="{" ".join(points)}"/>'


def _points(chart: Lines, line: Line, x: Scale, y: Scale) -> Iterator[str]:
    """Give points to hover over; of a long line not more than one every few pixels."""
    every = 1 if chart.marked else max(1, len(line.x) // 30)
    seen = chart.marked or len(line.x) == 1
    columns = list(zip(line.x, line.y, line.low, line.high, strict=True))
    for a, b, low, high in columns[::every]:
        span = f" ({number(low)} to {number(high)})" if low != high else ""
        tip = f"{line.label}\n{chart.x_label} {tick_label(a)}: {number(b)}{span}"
        kind, radius = ("point", 3.2) if seen else ("spot", 5)
        yield (
            f'<circle class="{kind}" cx="{x(a):.1f}" cy="{y(b):.1f}" r="{radius}" '
            f'data-tip="{escape(tip)}"/>'
        )


def _grid_below(x: Scale, label: str, top: float, bottom: float) -> Iterator[str]:
    for tick in x.ticks():
        at = f"{x(tick):.1f}"
        yield f'<path class="grid" d="M{at} {top}V{bottom}"/>'
        yield f'<text class="tick" x="{at}" y="{bottom + 15}" text-anchor="middle">'
        yield f"{tick_label(tick)}</text>"
    middle = (x.start + x.end) / 2
    yield f'<text class="label" x="{middle:.0f}" y="{bottom + 33}" text-anchor="middle">'
    yield f"{escape(label)}</text>"


def _grid_left(y: Scale, label: str, right: float) -> Iterator[str]:
    for tick in y.ticks():
        at = y(tick)
        yield f'<path class="grid" d="M{_LEFT} {at:.1f}H{right}"/>'
        yield f'<text class="tick" x="{_LEFT - 5}" y="{at + 4:.1f}" text-anchor="end">'
        yield f"{tick_label(tick)}</text>"
    middle = (y.start + y.end) / 2
    yield f'<text class="label" transform="translate(11 {middle:.0f}) rotate(-90)" '
    yield f'text-anchor="middle">{escape(label)}</text>'


def _dots(chart: Dots) -> str:
    """Put each arm's name above its line, so that long ones fit on a phone."""
    spread, x = _spread(chart), scale_of_dots(chart)
    step, top = (34, 6) if spread else (26, 8)
    bottom = top + step * len(chart.dots)
    parts = list(_grid_below(x, chart.x_label, top, bottom))
    marks = (("reference", "baseline", chart.reference), ("chance", "guessing", chart.chance))
    for kind, name, value in marks:
        if value is not None:
            tip = f"{name}: {number(value)}"
            parts.append(f'<path class="{kind}" d="M{x(value):.1f} {top}V{bottom}"/>')
            parts.append(
                f'<path class="wide" d="M{x(value):.1f} {top}V{bottom}" data-tip="{tip}"/>'
            )
    for index, dot in enumerate(chart.dots):
        parts += _dot(dot, x, top + step * index, step, above=spread)
    return _svg(chart.title, _width(chart), bottom + _BOTTOM, parts)


def _dot(dot: Dot, x: Scale, top: float, step: float, *, above: bool) -> Iterator[str]:
    y = top + (step * 0.72 if above else step / 2)
    yield f'<g class="s c{dot.style.colour}" data-arm="{escape(dot.label)}">'
    text_y = top + 14 if above else y + 4
    yield f'<text class="name" x="4" y="{text_y:.1f}">{escape(dot.label)}</text>'
    if dot.low is not None and dot.high is not None:
        yield f'<path class="bar" d="M{x(dot.low):.1f} {y:.1f}H{x(dot.high):.1f}"/>'
        yield from _arrows(dot.low, dot.high, x, y)
    for value in dot.values if len(dot.values) > 1 else ():
        yield f'<circle class="seed" cx="{x(value):.1f}" cy="{y:.1f}" r="3"/>'
    at = f"{x(dot.mean):.1f}"
    # The mean is a diamond, told from a seed's circle without colour.
    yield f'<path class="point" d="M{at} {y - 6:.1f}l6 6l-6 6l-6 -6z"/>'
    yield f'<rect class="wide" x="0" y="{top:.1f}" width="100%" height="{step}" '
    yield f'data-tip="{escape(dot.note)}"/></g>'


def _arrows(low: float, high: float, x: Scale, y: float) -> Iterator[str]:
    """Mark the ends of an interval that goes on beyond the chart."""
    for beyond, at, back in ((low < x.low, x.start, 6), (high > x.high, x.end, -6)):
        if beyond:
            yield f'<path class="bar" d="M{at + back:.1f} {y - 4:.1f}L{at:.1f} {y:.1f}'
            yield f'L{at + back:.1f} {y + 4:.1f}"/>'


def _heat(chart: Heat) -> str:
    left = 16 + 6.5 * max(len(name) for name in chart.rows)
    left = min(left, 150)
    cell = max(24.0, min(90.0, (WIDTH - left - _RIGHT) / len(chart.columns)))
    tall = 26 if len(chart.rows) > 4 else 38
    top, width = 8.0, left + cell * len(chart.columns) + _RIGHT
    bottom = top + tall * len(chart.rows)
    crowded = max(len(name) for name in chart.columns) * 6.5 > cell
    parts: list[str] = []
    for r, (name, texts, shares) in enumerate(
        zip(chart.rows, chart.texts, chart.shares, strict=True)
    ):
        y = top + tall * r
        parts.append(f'<text class="tick" x="{left - 5}" y="{y + tall / 2 + 4}" text-anchor="end">')
        parts.append(f"{escape(name)}</text>")
        for c, (text, share) in enumerate(zip(texts, shares, strict=True)):
            parts += _cell(chart, (r, c), (left + cell * c, y, cell, tall), text, share)
    for c, name in enumerate(chart.columns):
        at = left + cell * (c + 0.5)
        turn = f'transform="rotate(-40 {at:.1f} {bottom + 12})"' if crowded else ""
        anchor = "end" if crowded else "middle"
        parts.append(f'<text class="tick" x="{at:.1f}" y="{bottom + 14}" text-anchor="{anchor}" ')
        parts.append(f"{turn}>{escape(name)}</text>")
    foot = bottom + (75 if crowded else 32)
    parts.append(f'<text class="label" x="{(left + width) / 2:.0f}" y="{foot}" ')
    parts.append(f'text-anchor="middle">{escape(chart.x_label)}</text>')
    return _svg(chart.title, width, foot + 8, parts)


def _cell(
    chart: Heat,
    place: tuple[int, int],
    box: tuple[float, float, float, float],
    text: str,
    share: float | None,
) -> Iterator[str]:
    row, column = place
    x, y, width, height = box
    across = chart.x_label.partition(" (")[0]
    tip = f"{chart.y_label} {chart.rows[row]}, {across} {chart.columns[column]}: {text or 0}"
    opacity = 0.0 if share is None else share
    fill = f'fill-opacity="{opacity:.3f}"'
    yield (
        f'<rect class="cell" x="{x:.1f}" y="{y:.1f}" width="{width - 1:.1f}" '
        f'height="{height - 1}" {fill} data-tip="{escape(tip)}"/>'
    )
    dark = " dark" if opacity > 0.55 else ""
    yield f'<text class="count{dark}" x="{x + width / 2:.1f}" y="{y + height / 2 + 4:.1f}" '
    yield f'text-anchor="middle">{escape(text)}</text>'
