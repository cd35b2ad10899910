"""The time from a command to its first step, in its parts."""

import os
import time
from itertools import pairwise
from pathlib import Path

_AGAIN = ""
UNBEGUN = "stopped before anything began"
_marks: list[tuple[str, float]] = []  # the parts, and when each ended
_work: set[str] = set()  # what has begun, or may have


def mark(part: str) -> None:
    """Note that a part of the way to the first step is done."""
    _marks.append((part, time.monotonic()))


def begin() -> None:
    """Start the clock of a job that is not this process's first."""
    if _marks and _marks[-1][0] == _AGAIN:
        _marks[:] = [(_AGAIN, time.monotonic())]


def note_work(what: str) -> None:
    """Note that a job has begun, or may have, so that a stop is no longer one before anything."""
    _work.add(what)


def nothing_begun() -> bool:
    """Say whether this process has begun no work yet."""
    return not _work


def told() -> str:
    """Say how long the parts took, from the process's start or from `begin`."""
    again = _marks[0][0] == _AGAIN
    lived = age()
    begun = _marks[0][1] if lived is None else time.monotonic() - lived
    marks = _marks if again else [(_AGAIN, begun), *_marks]
    parts = [f"{part} {end - start:.2f} s" for (_, start), (part, end) in pairwise(marks)]
    seconds = marks[-1][1] - marks[0][1]
    _marks[:] = [(_AGAIN, time.monotonic())]
    return f"after {seconds:.2f} s: {', '.join(parts)}"


def age() -> float | None:
    """Tell the seconds since this process began, to a hundredth; None if the system keeps none."""
    try:
        fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        started = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # field 22: ticks after the boot
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, AttributeError):
        return None
