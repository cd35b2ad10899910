"""Numbers and states as people read them."""

import math

from etude.base.duration import duration
from etude.base.text import exact
from etude.runs.state import RunState

NONE = "–"
# Why runs have no result, as a sentence says it.
WHY = {
    RunState.PRUNED: "{are} given up by the search",
    RunState.RUNNING: "{are} still being trained",
    RunState.PREEMPTED: "{are} preempted: saved and stopped, to go on with the same command",
    RunState.CUT_OFF: "{are} cut off without a word (killed, or the machine went down)",
    RunState.DIVERGED: "diverged: the loss became NaN or infinite",
    RunState.FAILED: "failed",
    RunState.NOT_STARTED: "{are} not started",
}


def spaced(metric: str) -> str:
    """Write a metric as words: `final.test_accuracy` is `final test accuracy`."""
    return metric.replace(".", " ").replace("_", " ")


def setting(value: object) -> str:
    """Write a setting as its YAML does."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return exact(value)
    return str(value)


def is_fraction(metric: str) -> bool:
    """Say whether a metric is a part of 1, told in per cent."""
    return metric.endswith("accuracy")


def amount(value: float, metric: str) -> str:
    """Put a metric's value into a sentence."""
    return f"{100 * value:.1f} %" if is_fraction(metric) else f"{value:.4g}"


def gap(value: float, metric: str) -> str:
    """Put the size of a difference into a sentence."""
    if not is_fraction(metric):
        return f"{abs(value):.3g}"
    points = 100 * abs(value)
    return f"{points:.2f} points" if points < 1 else f"{points:.1f} points"


def signed(value: float, metric: str) -> str:
    """Put a difference with its sign into a sentence; a real minus, as in print."""
    number = f"{100 * value:+.1f}" if is_fraction(metric) else f"{value:+.3g}"
    return number.replace("-", "−")


def number(value: float | None, digits: int = 4) -> str:
    """Write a table's number, or a dash."""
    return NONE if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def difference(value: float | None) -> str:
    """Write a table's difference, with its sign."""
    return NONE if value is None else f"{value:+.4f}".replace("-", "−")


def probability(p: float | None) -> str:
    """Write a p value; below a thousandth its size says nothing more."""
    if p is None:
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def lasted(seconds: float | None) -> str:
    """Write a time, or a dash."""
    return NONE if seconds is None else duration(seconds)


def size(count: float | None) -> str:
    """Write a number of bytes."""
    return NONE if count is None else f"{count / 2**20:,.0f} MiB"


def listed(names: list[str]) -> str:
    """Join names as in a sentence."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"
