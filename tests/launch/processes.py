"""Looking at processes from outside."""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path


def notes(folder: Path) -> list[str]:
    """What the jobs have noted."""
    path = folder / "notes"
    return path.read_text().splitlines() if path.exists() else []


def wait_for(condition: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def processes_below(folder: Path) -> set[int]:
    """The processes besides this one that work in a folder."""
    found: set[int] = set()
    for path in Path("/proc").iterdir():
        if re.fullmatch(r"\d+", path.name):
            try:
                where = (path / "cwd").resolve(strict=True)
                state = (path / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            own = path.name == str(os.getpid())
            if where.is_relative_to(folder) and state != "Z" and not own:
                found.add(int(path.name))
    return found


def children_of(process: int) -> list[int]:
    """The processes that a process has started and that are still there."""
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if int(parent) == process and state != "Z":
            found.append(int(path.parent.name))
    return found
