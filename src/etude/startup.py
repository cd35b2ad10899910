"""The time from a command to its first step, in its parts."""

import os
import time
from itertools import pairwise
from pathlib import Path

_AGAIN = ""
_marks: list[tuple[str, float]] = []  # the parts, and when each ended


def mark(part: str) -> None:
    """Note that a part of the way to the first step is done."""
    _marks.append((part, time.monotonic()))


def begin() -> None:
    """Start the clock of a job that is not this process's first."""
    if _marks and _marks[-1][0] == _AGAIN:
        _marks[:] = [(_AGAIN, time.monotonic())]


def told() -> str:
    """Say how long the parts took, from the process's start or from `begin`."""
    again = _marks[0][0] == _AGAIN
    marks = _marks if again else [(_AGAIN, _started(_marks[0][1])), *_marks]
    parts = [f"{part} {end - start:.2f} s" for (_, start), (part, end) in pairwise(marks)]
    seconds = marks[-1][1] - marks[0][1]
    _marks[:] = [(_AGAIN, time.monotonic())]
    return f"after {seconds:.2f} s: {', '.join(parts)}"


def _started(first: float) -> float:
    """Give this process's start on `time.monotonic`'s clock; `first` if the system keeps none."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):
        return first
    return time.monotonic() - age
