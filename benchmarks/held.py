"""The memory and the processors' time of a process and of all that it has started."""

import os
from collections.abc import Iterator
from pathlib import Path


def held_by(process: int) -> int:
    """Give the bytes of a process and of those that it has started; 0 of one that has ended.

    A share of what several have in common counts for each (`Pss`), so that the sum has it once.
    """
    return sum(map(_share, _tree(process)))


def used_by(process: int) -> float:
    """Give the processors' seconds of a process, and of those that it has started or waited for."""
    return sum(map(_seconds, _tree(process)))


def _tree(process: int) -> Iterator[int]:
    yield process
    for thread in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children = thread.read_text().split()
        except OSError:  # it has ended
            continue
        for child in children:
            yield from _tree(int(child))


def _share(process: int) -> int:
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _seconds(process: int) -> float:
    try:
        told = Path(f"/proc/{process}/stat").read_text()
    except OSError:  # it has ended
        return 0.0
    # After the name, which may have spaces: utime, stime, cutime and cstime (proc(5)).
    ticks = told.rpartition(")")[2].split()[11:15]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
