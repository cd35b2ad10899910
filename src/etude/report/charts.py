"""What each figure shows, as numbers; `svg` draws it on the page, `figures` into files."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from etude.report.arms import Arm, axes
from etude.report.results import Results, Row, finished
from etude.report.words import number

MOST_ARMS = 16  # lines that an eye can follow
_COLOURS = 7


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
    """One arm: its mean, its interval where it has one, and its seeds."""

    label: str
    style: Style
    mean: float
    low: float | None
    high: float | None
    values: Sequence[float]
    note: str


@dataclass(frozen=True)
class Dots:
    """Arms below each other; `reference` is a value to compare with, `chance` another."""

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


def styles(results: Results) -> dict[str, Style]:
    """Give every arm its look: the last axis chooses the colour, the others the dash."""
    arms = [row.arm for row in results.rows]
    *others, last = axes(arms) or [""]
    colours = list(dict.fromkeys(arm.levels.get(last) for arm in arms))
    dashes = list(dict.fromkeys(_place(arm, others) for arm in arms))
    if len(dashes) > 4 or len(colours) > _COLOURS or len(colours) * len(dashes) < len(arms):
        return {arm.label: Style(i % _COLOURS, i // _COLOURS % 4) for i, arm in enumerate(arms)}
    return {
        arm.label: Style(colours.index(arm.levels.get(last)), dashes.index(_place(arm, others)))
        for arm in arms
    }


def drawn(results: Results) -> list[Row]:
    """Choose the arms that are drawn: all, or of many the best, the worst and the baseline."""
    rows = [row for row in results.rows if row.result is not None or _epochs(row.arm)]
    if len(rows) <= MOST_ARMS:
        return rows
    sign = 1 if results.higher_is_better else -1
    known = [row for row in rows if row.result is not None]
    ranked = sorted(known, key=lambda row: -sign * (row.result.mean if row.result else 0.0))
    kept = {row.label for row in (*ranked[: MOST_ARMS - 5], *ranked[-4:])} | {results.baseline}
    return [row for row in rows if row.label in kept]


def comparison(results: Results, *, chance: float | None) -> Dots:
    """Show each arm's mean, its 95 % interval and its seeds."""
    look = styles(results)
    dots: list[Dot] = []
    for row in drawn(results):
        if row.result is not None:
            r = row.result
            seeds = ", ".join(number(value) for value in row.values.values())
            note = f"{row.label}: mean {number(r.mean)}, interval {number(r.low)} to "
            note += f"{number(r.high)}, seeds {seeds}"
            values = list(row.values.values())
            dots.append(Dot(row.label, look[row.label], r.mean, r.low, r.high, values, note))
    base = next((row for row in results.rows if row.label == results.baseline), None)
    reference = base.result.mean if base is not None and base.result is not None else None
    label = results.metric.replace(".", " ").replace("_", " ")
    return Dots("arms", "Arms", label, dots, reference, chance)


def curves(results: Results) -> list[Lines]:
    """Show loss and accuracy over the epochs, a panel each for training and evaluation."""
    panels: list[Lines] = []
    rows, look = drawn(results), styles(results)
    keys = {key for row in rows for run in row.arm.runs for key in run.columns}
    watched = next((p for p in ("validation", "test") if f"{p}_accuracy" in keys), None)
    for quantity in ("accuracy", "loss"):
        for part in ("train", watched):
            if part is None:
                continue
            found = (_curve(row, look[row.label], f"{part}_{quantity}") for row in rows)
            lines = [line for line in found if line is not None]
            if lines:
                title = f"{'Training' if part == 'train' else part.capitalize()} {quantity}"
                unit = "cross-entropy" if quantity == "loss" else "accuracy"
                panels.append(Lines(f"{part}_{quantity}", title, "epoch", unit, lines))
    return panels


def sweeps(results: Results) -> list[Lines]:
    """Show the result against each axis of numbers, a line for each place on the other axes."""
    arms = [row.arm for row in results.rows]
    names = axes(arms)
    charts: list[Lines] = []
    for axis in names:
        values = {arm.label: _number(arm.levels.get(axis, "")) for arm in arms}
        if len(set(values.values()) - {None}) < 3:
            continue
        lines = _along(results, values, [name for name in names if name != axis])
        places = [x for line in lines for x in line.x]
        if lines:
            wide = min(places) > 0 and max(places) >= 10 * min(places)
            label = results.metric.replace(".", " ").replace("_", " ")
            name = f"against_{axis.replace('.', '_')}"
            title = f"Result against {axis}"
            charts.append(Lines(name, title, axis, label, lines, logarithmic=wide, marked=True))
    return charts


def grid(results: Results) -> Heat | None:
    """Show the result over two axes; None where there are not two."""
    arms = [row.arm for row in results.rows]
    names = axes(arms)
    if len(names) != 2:
        return None
    down, across = names
    rows = list(dict.fromkeys(arm.levels.get(down, "–") for arm in arms))
    columns = list(dict.fromkeys(arm.levels.get(across, "–") for arm in arms))
    means = {
        (row.arm.levels.get(down, "–"), row.arm.levels.get(across, "–")): row.result.mean
        for row in results.rows
        if row.result is not None
    }
    if len(means) < 2:
        return None
    low, high = min(means.values()), max(means.values())
    cells = [[means.get((r, c)) for c in columns] for r in rows]
    shares = [[None if v is None else (v - low) / ((high - low) or 1) for v in r] for r in cells]
    texts = [[number(v) for v in line] for line in cells]
    title = f"Mean {results.metric.replace('.', ' ').replace('_', ' ')}"
    return Heat("grid", title, across, down, columns, rows, texts, shares)


def confusions(results: Results) -> tuple[Heat, Dots] | None:
    """Show which class the best arm takes for which, over all its seeds, and each class's hits."""
    best = results.best
    kept = [run.confusion for run in finished(best.arm) if run.confusion] if best else []
    if best is None or not kept or any(c["classes"] != kept[0]["classes"] for c in kept):
        return None
    classes = [str(name) for name in kept[0]["classes"]]
    counts = np.sum([c["counts"] for c in kept], axis=0)
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    texts = [[str(count) if count else "" for count in line] for line in counts.tolist()]
    title = f"Answers of {best.label}"
    heat = Heat(
        "confusion",
        title,
        "answer (down: the true class)",
        "class",
        classes,
        classes,
        texts,
        shares.tolist(),
    )
    hits = np.diag(shares).tolist()
    dots = [
        Dot(name, Style(0, 0), hit, None, None, (), f"{name}: {number(hit)} of {int(total)} images")
        for name, hit, total in zip(classes, hits, totals[:, 0], strict=True)
    ]
    return heat, Dots("classes", f"Accuracy by class, {best.label}", "accuracy", dots)


def _curve(row: Row, style: Style, key: str) -> Line | None:
    """Average a key over the seeds, epoch by epoch, over those that got that far."""
    found = [run.columns[key] for run in row.arm.runs if key in run.columns]
    if not found:
        return None
    length = max(len(values) for values in found)
    table = np.full((len(found), length), np.nan)
    for place, values in zip(table, found, strict=True):
        place[: len(values)] = values
    there = ~np.isnan(table).all(axis=0)
    if not there.any():
        return None
    epochs, table = np.arange(1, length + 1)[there], table[:, there]
    mean, low, high = np.nanmean(table, 0), np.nanmin(table, 0), np.nanmax(table, 0)
    return Line(row.label, style, *(values.tolist() for values in (epochs, mean, low, high)))


def _along(
    results: Results, values: Mapping[str, float | None], others: Sequence[str]
) -> list[Line]:
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in results.rows:
        if row.result is not None and values[row.label] is not None:
            groups.setdefault(_place(row.arm, others), []).append(row)
    lines: list[Line] = []
    for index, (place, rows) in enumerate(groups.items()):
        points = sorted(((values[row.label] or 0.0, row) for row in rows), key=lambda pair: pair[0])
        spreads = [(x, row.result) for x, row in points if row.result is not None]
        label = " ".join(map(_named, others, place)) or "result"
        lines.append(
            Line(
                label,
                Style(index % _COLOURS, index // _COLOURS % 4),
                [x for x, _ in spreads],
                [s.mean for _, s in spreads],
                [s.mean if s.low is None else s.low for _, s in spreads],
                [s.mean if s.high is None else s.high for _, s in spreads],
            )
        )
    return lines


def _place(arm: Arm, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(arm.levels.get(name, "–") for name in names)


def _named(axis: str, level: str) -> str:
    """Put the axis before a level that says nothing alone."""
    alone = level in {"true", "false", "null"} or ("=" not in level and _number(level) is not None)
    return f"{axis.rpartition('.')[2]}={level}" if alone else level


def _number(word: str) -> float | None:
    """Read a level as a number; a study's may have a name before it, as in `λ=1e-4`."""
    try:
        value = float(word.rpartition("=")[2])
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _epochs(arm: Arm) -> int:
    return max(run.epochs for run in arm.runs)
