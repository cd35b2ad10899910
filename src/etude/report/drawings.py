"""All charts of a report: found once and drawn as SVG once, for the page and for files."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from etude.report import svg
from etude.report.answer import chance
from etude.report.charts import Chart, comparison, confusions, curves, grid, sweeps
from etude.report.results import Results


@dataclass(frozen=True)
class Drawing:
    """A chart to be drawn."""

    chart: Chart

    @cached_property
    def svg(self) -> str:
        """The `<svg>` element, drawn when it is first asked for."""
        return svg.draw(self.chart)


@dataclass(frozen=True)
class Drawings:
    """A report's charts by what they show; without runs that say anything, a list is empty.

    Args:
        comparison: The arms' results; at most one chart.
        curves: Loss and accuracy over the epochs.
        sweeps: The result against each axis of numbers.
        grid: The result over two axes; at most one chart.
        confusions: The best arm's answers, and its hits by class.
    """

    comparison: list[Drawing]
    curves: list[Drawing]
    sweeps: list[Drawing]
    grid: list[Drawing]
    confusions: list[Drawing]

    @property
    def groups(self) -> list[list[Drawing]]:
        """Those that share a picture as a PNG file."""
        found = [
            self.comparison,
            self.curves,
            *([drawing] for drawing in self.sweeps),
            self.grid,
            self.confusions,
        ]
        return [group for group in found if group]


def draw(results: Results) -> Drawings:
    """Find everything that there is to see."""
    luck = chance(results) if results.metric.endswith("accuracy") else None
    arms, plane = comparison(results, chance=luck), grid(results)
    return Drawings(
        comparison=_drawn([arms] if arms.dots else []),
        curves=_drawn(curves(results)),
        sweeps=_drawn(sweeps(results)),
        grid=_drawn([] if plane is None else [plane]),
        confusions=_drawn(confusions(results) or ()),
    )


def _drawn(charts: Iterable[Chart]) -> list[Drawing]:
    return [Drawing(chart) for chart in charts]
