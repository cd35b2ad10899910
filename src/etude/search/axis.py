"""One key that is searched over: numbers between two ends, or a few choices."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Numbers:
    """All numbers from `low` to `high`, or those that are whole steps from `low`.

    Args:
        key: As the command writes it, with a + before it where one is needed.
        low: The least.
        high: The greatest; it is one of them.
        log: Whether ratios count rather than differences.
        whole: Whether they are integers.
        step: Between neighbours; None: all of them.
    """

    key: str
    low: float
    high: float
    log: bool = False
    whole: bool = False
    step: float | None = None

    @property
    def ends(self) -> tuple[float, float]:
        """Give the least and the greatest."""
        return self.low, self.high

    def levels(self) -> list[float] | None:
        """List the numbers in order; None if there is no end of them."""
        if self.step is None:
            return None
        count = round((self.high - self.low) / self.step)
        return [self._clean(self.low + index * self.step) for index in range(count + 1)]

    def word(self, value: float) -> str:
        """Write an override."""
        return f"{self.key}={self._clean(value)!r}"

    def told(self) -> str:
        """Put it into words for people."""
        how = f"in steps of {self._clean(self.step)!r}" if self.step else "any number"
        if self.whole and self.step == 1:
            how = "whole numbers"
        by = ", by ratios" if self.log else ""
        return f"from {self._clean(self.low)!r} to {self._clean(self.high)!r}, {how}{by}"

    def _clean(self, value: float) -> float:
        if self.whole:
            return int(value)
        # 0.1 + 2 · 0.1 is meant to be 0.3.
        return float(value) if self.step is None else round(float(value), 12)


@dataclass(frozen=True)
class Choices:
    """A few values without an order.

    Args:
        key: As the command writes it, with a + before it where one is needed.
        words: The values as overrides write them.
    """

    key: str
    words: tuple[str, ...]

    @property
    def ends(self) -> Sequence[str]:
        """Give all of them: none is between the others."""
        return self.words

    def levels(self) -> list[str]:
        """List them."""
        return list(self.words)

    def told(self) -> str:
        """Put it into words for people."""
        return f"one of {', '.join(self.words)}"

    def word(self, value: str) -> str:
        """Write an override."""
        return f"{self.key}={value}"


Axis = Numbers | Choices
