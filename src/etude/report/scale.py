"""From values to places on a chart, and round numbers to label them with."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Scale:
    """Map values from `low` to `high` onto places.

    With `whole`, only whole ones are labelled; with `zero`, a logarithmic one has 0 at its start.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False
    whole: bool = False
    zero: bool = False

    def __call__(self, value: float) -> str:
        """Give a value's place as SVG has it; outside values stay at the edge."""
        low, width = self._flat_ends
        part = ((self._flat(value) if self.logarithmic else value) - low) / width
        part = 0.0 if part < 0.0 else 1.0 if part > 1.0 else part  # curves ask very often
        return f"{self.start + part * (self.end - self.start):.1f}"

    @property
    def middle(self) -> float:
        """Its middle's place."""
        return (self.start + self.end) / 2

    def ticks(self, about: int = 5) -> list[float]:
        """Give round values between the ends."""
        if self.logarithmic:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            every = max(1, (last - first) // about)
            powers = [10.0**power for power in range(first, last + 1, every)]
            low = self.low * (2 if self.zero else 0.999)  # no label on that of 0
            return [0.0] * self.zero + [p for p in powers if low <= p <= self.high * 1.001]
        step = _round_step((self.high - self.low) / about)
        step = math.ceil(step) if self.whole else step
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]

    @cached_property
    def _flat_ends(self) -> tuple[float, float]:
        low, high = self._flat(self.low), self._flat(self.high)
        return low, (high - low) or 1.0

    def _flat(self, value: float) -> float:
        return math.log10(max(value, 1e-300)) if self.logarithmic else value


def fit(
    values: Iterable[float],
    start: float,
    end: float,
    *,
    logarithmic: bool = False,
    whole: bool = False,
) -> Scale:
    """Choose ends a little beyond all values that are finite; 0 is a decade from the others."""
    known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(known), max(known)
    if logarithmic:
        zero = low <= 0
        low = min(value for value in known if value > 0) / (10 if zero else 1.15)
        return Scale(low, high * 1.15, start, end, logarithmic=True, zero=zero)
    margin = 0.04 * (high - low) or 0.05 * abs(high) or 0.5
    return Scale(low - margin, high + margin, start, end, whole=whole)


def tick_label(value: float) -> str:
    """Write a round value shortly."""
    return f"{value:.6g}".replace("-", "−")


def _round_step(step: float) -> float:
    power = 10.0 ** math.floor(math.log10(step)) if step > 0 else 1.0
    return power * next(m for m in (1, 2, 2.5, 5, 10) if m * power >= step * 0.999)
