"""Whether two runs came to the same results, to the bit."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from etude.base.errors import UserError
from etude.base.lazy import torch
from etude.base.text import counted
from etude.runs.names import BEST
from etude.runs.records import EpochRow, Summary, read_rows, read_summary
from etude.train.weights_file import read

_OF_TIME = {"images_per_second", "seconds", "memory_bytes"}


def apart(source: Path, folder: Path) -> Iterator[str]:
    """Yield where two runs' results are not the same to the bit; times do not count."""
    yield from _rows_apart(read_rows(source), read_rows(folder))
    yield from _results_apart(read_summary(source), read_summary(folder))
    then, now = (_data(path) for path in (source, folder))
    if then != now:
        yield f"data with digest {now} instead of {then}"
    if (source / BEST).exists():
        try:
            old, new = (read(path / BEST) for path in (source, folder))
        except UserError as error:
            yield f"its weights, which cannot be compared: {error}"
            return
        if old.keys() != new.keys():
            yield "weights of other layers"
        unlike = [name for name in old.keys() & new.keys() if not torch.equal(old[name], new[name])]
        if unlike:
            yield f"{len(unlike)} of {counted(len(old), 'tensor')} of the best weights"


def _rows_apart(then: Sequence[EpochRow], now: Sequence[EpochRow]) -> Iterator[str]:
    if len(then) != len(now):
        yield f"{counted(len(now), 'epoch')} instead of {len(then)}"
    for old, new in zip(then, now, strict=False):
        values: tuple[Mapping[str, Any], Mapping[str, Any]] = old, new
        keys = [key for key in old if key not in _OF_TIME and old[key] != values[1].get(key)]
        if keys:
            is_was = f"{values[1].get(keys[0])} instead of {values[0][keys[0]]}"
            yield f"epoch {old['epoch']}: {keys[0]} {is_was}"
            return


def _results_apart(then: Summary | None, now: Summary | None) -> Iterator[str]:
    """Hold the results against each other: no epoch may have asked the test split."""
    old, new = (dict(_results(summary)) for summary in (then, now))
    keys = [key for key in old if old[key] != new.get(key)]
    if keys:
        yield f"{keys[0]} {new.get(keys[0])} instead of {old[keys[0]]}"


def _results(summary: Summary | None) -> Iterator[tuple[str, Any]]:
    told: Mapping[str, Any] = summary or {}
    for which in ("final", "best"):
        yield from ((f"{which} {key}", value) for key, value in told.get(which, {}).items())


def _data(folder: Path) -> str | None:
    summary = read_summary(folder)
    return None if summary is None else summary["data"].get("digest")
