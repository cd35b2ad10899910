"""Who works in a run's folder: one process at a time, which anybody may ask about."""

import datetime
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from etude.base import atomic, locks
from etude.runs.names import LOCK, OUTPUT_LOG, REPLACED
from etude.runs.records import read_rows, read_summary


class Busy(Exception):  # noqa: N818 (a state of affairs, not a mistake)
    """Another process is at work in the folder."""


@contextmanager
def claimed(folder: Path) -> Generator[None]:
    """Make the folder and hold it for this process alone.

    Raises:
        Busy: Another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = locks.take(folder / LOCK)
    except locks.Held as error:
        told = f" ({error})" if str(error) else ""
        raise Busy(f"another process is at work in {folder}{told}") from None
    try:
        atomic.remove_all(folder)  # what a crash left; nobody else is writing here
        yield
    finally:
        with suppress(FileNotFoundError):
            (folder / LOCK).unlink()  # while it is held, so that nobody loses a lock of theirs
        locks.release(descriptor)


def is_claimed(folder: Path) -> bool:
    """Say whether a process holds the folder; asking keeps nobody from taking it."""
    return locks.is_held(folder / LOCK)


def wait_while_claimed(folder: Path) -> None:
    """Wait until no process is at work in the folder."""
    while True:
        with suppress(Busy), claimed(folder):
            return
        time.sleep(0.5)


def set_aside(folder: Path) -> Path | None:
    """Rename a run's folder out of the way, to be trained afresh; None if there is nothing in it.

    Raises:
        Busy: Another process is at work in it.
    """
    if read_summary(folder) is None and not read_rows(folder):
        return None
    with claimed(folder):
        now = datetime.datetime.now(tz=datetime.UTC).strftime("%Y%m%dT%H%M%S%fZ")
        aside = folder.with_name(f"{folder.name}{REPLACED}{now}")
        folder.rename(aside)
        (aside / LOCK).unlink()
        if (aside / OUTPUT_LOG).exists():  # this process may be printing to it
            folder.mkdir()
            (aside / OUTPUT_LOG).rename(folder / OUTPUT_LOG)
    return aside


def remove_if_empty(folder: Path) -> None:
    """Take back a folder, and the one above it, that nothing was written to."""
    for path in (folder, folder.parent):
        try:
            path.rmdir()
        except OSError:
            return
