"""The memory of a process and of all that it has started."""

from collections.abc import Iterator
from pathlib import Path


def held_by(process: int) -> int:
    """Give the bytes of a process and of those that it has started; 0 of one that has ended.

    A share of what several have in common counts for each (`Pss`), so that the sum has it once.
    """
    return sum(map(_share, _tree(process)))


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
