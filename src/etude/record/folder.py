"""A run's folder: who may write there, and files that are whole or not there at all."""

import datetime
import fcntl
import json
import os
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from etude.launch.job import LOG

SUMMARY, METRICS, LOCK = "summary.json", "metrics.jsonl", ".lock"
ENVIRONMENT = "environment.json"


class Busy(Exception):  # noqa: N818 (a state of affairs, not a mistake)
    """Another process is at work in the folder."""


def read_summary(folder: Path) -> dict[str, Any] | None:
    """Give a run's summary, or None where there is none that can be read."""
    try:
        return json.loads((folder / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def write_text(path: Path, text: str) -> None:
    """Replace a file in one go: a reader, or a crash, sees the old text or the new."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON, in one go; what is not finite becomes null, as JSON asks."""
    write_text(path, json.dumps(_finite(value), indent=2, ensure_ascii=False) + "\n")


def append_line(path: Path, value: object) -> None:
    """Add one line of JSON."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(_finite(value), ensure_ascii=False) + "\n")


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Give the epochs of `metrics.jsonl`; a line that was cut off by a crash is left out."""
    try:
        lines = (folder / METRICS).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    with suppress(ValueError):  # all at once takes a report over many runs half the time
        return json.loads(f"[{','.join(lines)}]")
    rows: list[dict[str, Any]] = []
    for line in lines:
        with suppress(ValueError):
            rows.append(json.loads(line))
    return rows


def keep_metrics(folder: Path, epochs: int) -> list[dict[str, Any]]:
    """Cut `metrics.jsonl` back to the epochs that a checkpoint knows of, and give them."""
    rows = [row for row in read_metrics(folder) if row["epoch"] <= epochs]
    write_text(
        folder / METRICS, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    )
    return rows


@contextmanager
def claimed(folder: Path) -> Generator[None]:
    """Make the folder and hold it for this process alone.

    Raises:
        Busy: Another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = _lock(folder / LOCK)
    try:
        _sweep(folder)
        yield
    finally:
        with suppress(FileNotFoundError):
            (folder / LOCK).unlink()  # while it is held, so that nobody loses a lock of theirs
        os.close(descriptor)


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
    if read_summary(folder) is None and not read_metrics(folder):
        return None
    with claimed(folder):
        now = datetime.datetime.now(tz=datetime.UTC).strftime("%Y%m%dT%H%M%S%fZ")
        aside = folder.with_name(f"{folder.name}.replaced-{now}")
        folder.rename(aside)
        (aside / LOCK).unlink()
        if (aside / LOG).exists():  # this process may be printing to it
            folder.mkdir()
            (aside / LOG).rename(folder / LOG)
    return aside


def remove_if_empty(folder: Path) -> None:
    """Take back a folder, and the one above it, that nothing was written to."""
    for path in (folder, folder.parent):
        try:
            path.rmdir()
        except OSError:
            return


def _lock(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The file may have been removed by its holder between our opening and locking it.
            if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino:
                return descriptor
            os.close(descriptor)
        except BlockingIOError:
            os.close(descriptor)
            raise Busy(f"another process is at work in {path.parent}") from None


def _sweep(folder: Path) -> None:
    """Remove what a crash left half-written; the folder is ours, so nobody is writing it."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):  # noqa: PLR0124
        return None
    return value
