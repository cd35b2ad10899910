"""What a sweeper that knows its jobs one by one has a launcher do, without waiting for the slowest.

Hydra's launchers take all jobs at once and come back when the last has ended. Étude's have another
method, `refilled`, which asks for another job as soon as one has ended.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from hydra.core.utils import JobReturn


class Order(NamedTuple):
    """A job that is asked for: its number, its overrides, and what people call it."""

    number: int
    overrides: Sequence[str]
    label: str


class Source(Protocol):
    """What gives jobs as others end."""

    @property
    def at_once(self) -> int:
        """Give the number of jobs that it wants done at the same time."""
        ...

    @property
    def to_come(self) -> int:
        """Count the jobs that it will still give."""
        ...

    def exchange(
        self, ended: Sequence[tuple[int, JobReturn]], *, more: bool = True
    ) -> Sequence[Order]:
        """Take note of jobs that have ended, by number; give those that are to begin.

        Args:
            ended: Of each its number and what it returned; unknown for one that is only put off.
            more: Whether any may begin.
        """
        ...


class Refilled:
    """What every launcher of Étude's has beside Hydra's methods."""

    _launch: Any  # does the jobs; made by `setup`

    def refilled(self, source: Source) -> None:
        """Do jobs as they are given, and have another given as soon as one has ended.

        Args:
            source: Gives them, and is told what became of each.

        Raises:
            SystemExit: As `launch` does.
            CompactHydraException: As `launch` does.
        """
        self._launch.refilled(source)
