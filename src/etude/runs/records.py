"""What a run writes down of itself: a row of metrics for each epoch, and a summary."""

import json
import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

from etude.base.atomic import naming, overwrite_text, write_text
from etude.base.identity import mark_of
from etude.runs.names import METRICS, SUMMARY
from etude.runs.typed import misfit

log = logging.getLogger(__name__)


class EpochRow(TypedDict):
    """An epoch's metrics, a line of `metrics.jsonl`; what was not finite is None.

    Other versions of Étude may have other keys. `train_loss` and its like are cross-entropies,
    `penalty` is what l2 adds to them, accuracies are fractions.
    """

    epoch: int
    step: int
    train_loss: float
    train_accuracy: float
    validation_loss: NotRequired[float]
    validation_accuracy: NotRequired[float]
    test_loss: NotRequired[float]
    test_accuracy: NotRequired[float]
    penalty: float
    lr: float
    images_per_second: float
    seconds: float
    memory_bytes: int | None


class Parameters(TypedDict):
    """A network's parameters, counted."""

    trainable: int
    total: int


class Agreement(TypedDict):
    """A document's figure beside the run's own; `agrees` is None where nobody judges."""

    metric: str
    value: float | None
    rule: str
    source: str
    ours: float | None
    agrees: bool | None


class Summary(TypedDict):
    """What `summary.json` says; other versions of Étude may have other keys.

    A run that is not finished lacks what stands from `final` on: ask the state first.
    """

    state: str
    name: str
    fingerprint: str
    seed: int
    scale: float
    parameters: Parameters
    device: str
    precision: str
    compiled: NotRequired[bool]  # whether its steps were
    accumulate: NotRequired[int]  # parts that its batches were computed in
    threads: NotRequired[int]  # of a CPU, among which sums are divided: others round otherwise
    data: Mapping[str, Any]
    weights: Mapping[str, Any] | None
    hyperparameters: Mapping[str, Any]
    error: NotRequired[str]  # of one that failed
    epochs: NotRequired[int]  # done, of one that ended
    final: Mapping[str, Any]
    best: Mapping[str, Any]
    selection: str
    seconds: float
    images_per_second: float
    peak_memory_bytes: int | None
    test_crops: int
    reference: list[Agreement]


class _Images(TypedDict):
    """Of a run's data, what is counted on."""

    test: NotRequired[int]
    digest: NotRequired[str]


class _SummaryOnDisk(Summary):
    """What is counted on where a file is read, and not only where it is written."""

    final: Mapping[str, float | None]  # pyright: ignore[reportIncompatibleVariableOverride]
    best: Mapping[str, float | None]  # pyright: ignore[reportIncompatibleVariableOverride]
    data: _Images  # pyright: ignore[reportIncompatibleVariableOverride, reportGeneralTypeIssues]
    contents: NotRequired[Mapping[str, str]]


_NUMBERS = frozenset(EpochRow.__annotations__)


def _is_row(row: Any) -> bool:
    """Say whether a value is an epoch's metrics; what was not finite is None."""
    return (
        isinstance(row, dict)
        and type(row.get("epoch")) is int
        and all(row[key] is None or type(row[key]) in {int, float} for key in _NUMBERS & {*row})
    )


def read_json(path: Path) -> Any:
    """Give a file's value; None if there is none, and after a warning if it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        return None
    except ValueError as error:
        _warn(path, getattr(error, "lineno", 1), "the file is taken as missing")
        return None


def read_as(path: Path, kind: Any, *, whole: bool = False) -> Any:
    """Give a file's value as `read_json` does, if it is of a kind; see `misfit`."""
    found = read_json(path)
    if found is not None and (wrong := misfit(found, kind, whole=whole)):
        _warn(path, 1, f"{wrong}; the file is taken as missing")
        return None
    return found


def write_json(path: Path, value: object) -> None:
    """Write a value as JSON, in one go; what is not finite becomes null, as JSON asks."""
    write_text(path, _as_json(value))


def overwrite_json(path: Path, value: object) -> None:
    """Write a value as `write_json` does, in the file's own place on a full disk."""
    overwrite_text(path, _as_json(value))


def append_line(path: Path, value: object) -> None:
    """Add one line of JSON."""
    with naming(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(finite(value), ensure_ascii=False) + "\n")


def read_summary(folder: Path) -> Summary | None:
    """Give a run's summary; None where there is none, and after a warning where it is damaged."""
    found = read_as(folder / SUMMARY, _SummaryOnDisk)
    if found is None:
        return None
    if "state" not in found:
        _warn(folder / SUMMARY, 1, "there is no state; the file is taken as missing")
        return None
    if found["state"] == "finished" and not _has_result(found):
        _warn(folder / SUMMARY, 1, "a finished run lacks its results; the file is taken as missing")
        return None
    mark = found.get("fingerprint")
    if "contents" in found and mark_of(found.get("hyperparameters", {})) != mark:
        _tell_of_edit(folder / SUMMARY, str(mark))
    return cast("Summary", found)


@cache  # folders are looked at again and again
def _tell_of_edit(path: Path, fingerprint: str) -> None:
    log.warning(
        "%s is damaged or was edited: its settings are not those of its fingerprint, %s",
        *(path, fingerprint),
    )


def _has_result(summary: Mapping[str, Any]) -> bool:
    """Say whether a summary has what everybody reads of a finished run."""
    places = (summary.get("final"), summary.get("best"))
    return "name" in summary and all(
        isinstance(place, dict) and "test_accuracy" in place for place in places
    )


def read_rows(folder: Path) -> list[EpochRow]:
    """Give a run's epochs; a last line that a crash cut off is left out, a damaged one is told."""
    path = folder / METRICS
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    lines = text.splitlines()
    try:  # all at once takes a report over many runs half the time
        rows = cast("list[Any]", json.loads(f"[{','.join(lines)}]"))
    except ValueError:
        rows = [_row(path, number, line, text) for number, line in enumerate(lines, 1)]
    return [cast("EpochRow", row) for row in rows if _is_row(row)]


def keep_rows(folder: Path, epochs: int) -> list[EpochRow]:
    """Cut a run's epochs back to those that a checkpoint knows of, and give them."""
    rows = [row for row in read_rows(folder) if row["epoch"] <= epochs]
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_text(folder / METRICS, "".join(lines))
    return rows


def _row(path: Path, number: int, line: str, text: str) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        if not text.endswith(line):  # the last one may be half-written, by a run that is going on
            _warn(path, number, "the epoch is left out")
        return None


@cache  # folders are looked at again and again
def _warn(path: Path, line: int, consequence: str) -> None:
    log.warning("%s, line %d, is damaged: %s", path, line, consequence)


def _as_json(value: object) -> str:
    return json.dumps(finite(value), indent=2, ensure_ascii=False) + "\n"


def finite(value: Any) -> Any:
    """Put None in the place of what is not finite, as JSON asks."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):  # noqa: PLR0124
        return None
    return value
