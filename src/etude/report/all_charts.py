"""All charts of a report: which there are, and which arms are in them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from etude.base.text import counted
from etude.report.arms import Arm, axes
from etude.report.charts import Dot, Dots, Heat, Line, Lines, Style
from etude.report.drawing import Drawing, draw
from etude.report.results import ArmResults, Results, finished
from etude.report.statistics import Spread
from etude.report.tested import chance
from etude.report.verdicts import guesses
from etude.report.words import number, spaced

MOST_ARMS = 16  # lines that an eye can follow
_COLOURS = 7


@dataclass(frozen=True)
class Figures:
    """A report's charts by what they show; without runs that say anything, a list is empty.

    Args:
        comparison: The arms' results; at most one chart.
        curves: Loss and accuracy over the epochs.
        settings: The result against each axis of numbers, and over two axes.
        confusions: The best arm's answers, and its hits by class.
    """

    comparison: list[Drawing]
    curves: list[Drawing]
    settings: list[Drawing]
    confusions: list[Drawing]

    @property
    def all(self) -> list[Drawing]:
        """Every chart."""
        return [*self.comparison, *self.curves, *self.settings, *self.confusions]

    @property
    def groups(self) -> list[list[Drawing]]:
        """Those that share a picture as a PNG file."""
        found = self.comparison, self.curves, *([one] for one in self.settings), self.confusions
        return [group for group in found if group]


def find(results: Results) -> Figures:
    """Draw everything that there is to see."""
    return Figures(
        comparison=list(map(draw, comparison(results))),
        curves=list(map(draw, curves(results))),
        settings=list(map(draw, [*sweeps(results), *grid(results)])),
        confusions=list(map(draw, confusions(results))),
    )


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


def drawn(results: Results) -> list[ArmResults]:
    """Choose the arms that are drawn: all, or of many the best, the worst and the baseline."""
    rows = [row for row in results.rows if row.result is not None or _epochs(row.arm)]
    if len(rows) <= MOST_ARMS:
        return rows
    sign = 1 if results.higher_is_better else -1
    known = [row for row in rows if row.result is not None]
    ranked = sorted(known, key=lambda row: -sign * (row.result.mean if row.result else 0.0))
    kept = {row.label for row in (*ranked[: MOST_ARMS - 5], *ranked[-4:])} | {results.baseline}
    return [row for row in rows if row.label in kept]


def comparison(results: Results) -> list[Dots]:
    """Show each arm's mean, its 95 % interval and its seeds."""
    look = styles(results)
    shown = [(row, row.result) for row in drawn(results) if row.result]
    dots = [_dot(row, r, look[row.label], guessing=guesses(row, results)) for row, r in shown]
    base = next((row for row in results.rows if row.label == results.baseline), None)
    reference = base.result.mean if base is not None and base.result is not None else None
    asked = base is not None and results.metric.endswith("accuracy")
    luck = chance(base.arm, results.runs) if base is not None and asked else None
    return [Dots("arms", "Arms", spaced(results.metric), dots, reference, luck)] if dots else []


def curves(results: Results) -> list[Lines]:
    """Show loss and accuracy over the epochs, a panel each for training and evaluation."""
    panels: list[Lines] = []
    rows, look = drawn(results), styles(results)
    keys = {key for row in rows for run in row.arm.runs for key in run.columns}
    watched = next((p for p in ("validation", "test") if f"{p}_accuracy" in keys), None)
    for quantity, part in product(("accuracy", "loss"), ("train", watched)):
        found = (_curve(row, look[row.label], f"{part}_{quantity}") for row in rows)
        lines = [line for line in found if line is not None]
        if lines:
            title = f"{'Training' if part == 'train' else str(part).capitalize()} {quantity}"
            unit = "cross-entropy" if quantity == "loss" else "accuracy"
            panels.append(Lines(f"{part}_{quantity}", title, "epoch", unit, lines))
    return panels


def sweeps(results: Results) -> list[Lines]:
    """Show the result against each axis of numbers, a line for each place on the other axes."""
    names = axes([row.arm for row in results.rows])
    found = (_sweep(results, axis, [name for name in names if name != axis]) for axis in names)
    return [chart for chart in found if chart is not None]


def grid(results: Results) -> list[Heat]:
    """Show the result over two axes, where there are two."""
    names = axes([row.arm for row in results.rows])
    means = {
        _place(row.arm, names): row.result.mean for row in results.rows if row.result is not None
    }
    if len(names) != 2 or len(means) < 2:
        return []
    places = [_place(row.arm, names) for row in results.rows]
    rows, columns = (list(dict.fromkeys(found)) for found in zip(*places, strict=True))
    low, high = min(means.values()), max(means.values())
    cells = [[means.get((r, c)) for c in columns] for r in rows]
    shares = [[None if v is None else (v - low) / ((high - low) or 1) for v in r] for r in cells]
    texts = [[number(v) for v in line] for line in cells]
    title = f"Mean {spaced(results.metric)}"
    return [Heat("grid", title, names[1], names[0], columns, rows, texts, shares)]


def confusions(results: Results) -> list[Heat | Dots]:
    """Show which class the best arm takes for which, over all its seeds, and each class's hits."""
    best = results.best
    kept = [run.confusion for run in finished(best.arm) if run.confusion] if best else []
    if best is None or not kept or any(c.classes != kept[0].classes for c in kept):
        return []
    classes = kept[0].classes
    counts = np.sum([c.counts for c in kept], axis=0)
    totals = counts.sum(axis=1)
    shares = counts / np.maximum(totals, 1)[:, None]
    texts = [[str(count) if count else "" for count in line] for line in counts.tolist()]
    across = "answer (down: the true class)"
    table = classes, classes, texts, shares.tolist()
    dots = [
        Dot(
            name,
            Style(0, 0),
            hit,
            None,
            None,
            (),
            f"{name}: {number(hit)} of {counted(total, 'image')}",
        )
        for name, hit, total in zip(classes, np.diag(shares).tolist(), totals.tolist(), strict=True)
    ]
    return [
        Heat("confusion", f"Answers of {best.label}", across, "class", *table),
        Dots("classes", f"Accuracy by class, {best.label}", "accuracy", dots),
    ]


def _dot(row: ArmResults, r: Spread, style: Style, *, guessing: bool) -> Dot:
    values = list(row.values.values())
    note = f"{row.label}: mean {number(r.mean)}, interval {number(r.low)} to {number(r.high)}, "
    note += f"seeds {', '.join(map(number, values))}"
    return Dot(row.label, style, r.mean, r.low, r.high, values, note, guessing)


def _curve(row: ArmResults, style: Style, key: str) -> Line | None:
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


def _sweep(results: Results, axis: str, others: Sequence[str]) -> Lines | None:
    places = [_number(row.arm.levels.get(axis, "")) for row in results.rows]
    if len(set(places) - {None}) < 3:
        return None
    groups: dict[tuple[str, ...], list[tuple[float, Spread]]] = {}
    for row, x in zip(results.rows, places, strict=True):
        if row.result is not None and x is not None:
            groups.setdefault(_place(row.arm, others), []).append((x, row.result))
    if not groups:
        return None
    known = [x for points in groups.values() for x, _ in points]
    least = min((x for x in known if x > 0), default=math.inf)
    wide = min(known) >= 0 and max(known) >= (10 if min(known) > 0 else 100) * least
    name, title = f"against_{axis.replace('.', '_')}", f"Result against {axis}"
    lines = [
        _line(" ".join(map(_named, others, place)) or "result", index, points)
        for index, (place, points) in enumerate(groups.items())
    ]
    label = spaced(results.metric)
    return Lines(name, title, axis, label, lines, logarithmic=wide, marked=True)


def _line(label: str, index: int, points: Sequence[tuple[float, Spread]]) -> Line:
    points = sorted(points, key=lambda point: point[0])
    return Line(
        label,
        Style(index % _COLOURS, index // _COLOURS % 4),
        [x for x, _ in points],
        [s.mean for _, s in points],
        [s.mean if s.low is None else s.low for _, s in points],
        [s.mean if s.high is None else s.high for _, s in points],
    )


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
