"""What differs between runs: configuration, environment and results, side by side."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from etude.report.read import RunFolder
from etude.report.words import NONE, lasted, number, setting, size, spaced

_RESULTS = ("train_accuracy", "validation_accuracy", "test_accuracy", "train_loss",
            "validation_loss", "test_loss")  # fmt: skip
Line = tuple[str, list[str]]


def contrast(runs: Sequence[RunFolder], *, everything: bool = False) -> dict[str, list[Line]]:
    """Put runs side by side.

    Args:
        runs: Two or more.
        everything: Settings and versions that are the same as well.

    Returns:
        Lines (a name, and what each run has) by `configuration`, `environment` and `results`.
        Results are shown whether they differ or not.
    """
    configurations = [run.hyperparameters for run in runs]
    environments = [dict(_environment(run)) for run in runs]
    return {
        "configuration": _lines(configurations, everything=everything),
        "environment": _lines(environments, everything=everything),
        "results": list(_results(runs)),
    }


def _lines(sides: Sequence[Mapping[str, Any]], *, everything: bool) -> list[Line]:
    keys = dict.fromkeys(key for side in sides for key in side)
    lines = [(key, [setting(side.get(key, NONE)) for side in sides]) for key in keys]
    return [(key, words) for key, words in lines if everything or len(set(words)) > 1]


def _environment(run: RunFolder) -> Iterator[tuple[str, Any]]:
    made = run.environment
    yield from made.get("versions", {}).items()
    git = made.get("git") or {}
    yield "commit", git.get("commit", NONE)[:10]
    yield "changed since the commit", git.get("dirty", NONE)
    for key in ("code", "host", "processor", "cores"):
        yield key, made.get(key, NONE)
    for key in ("device", "precision", "scale"):
        yield key, run.summary.get(key, NONE)
    given = run.hyperparameters.get("train.accumulate", NONE)  # all that earlier runs say
    yield "parts of a batch", run.summary.get("accumulate", given)
    yield "data", run.summary.get("data", {}).get("digest", NONE)


def _results(runs: Sequence[RunFolder]) -> Iterator[Line]:
    yield "state", [run.state for run in runs]
    for place in ("final", "best"):
        keys = [k for k in ("epoch", *_RESULTS) if any(_has(run, place, k) for run in runs)]
        for key in keys:
            digits = 0 if key == "epoch" else 4
            values = [number(run.value(f"{place}.{key}"), digits) for run in runs]
            yield f"{place} {spaced(key)}", values
    yield "time", [lasted(run.value("seconds")) for run in runs]
    yield "images/s", [number(run.value("images_per_second"), 0) for run in runs]
    yield "memory", [size(run.value("peak_memory_bytes")) for run in runs]


def _has(run: RunFolder, place: str, key: str) -> bool:
    return run.value(f"{place}.{key}") is not None
