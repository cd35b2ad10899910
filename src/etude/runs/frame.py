"""Runs as a table of pandas's: a row for each, with its settings and its results as columns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from etude.base.errors import UserError
from etude.runs.find import find_runs
from etude.runs.state import RunState
from etude.runs.status import current_summary

if TYPE_CHECKING:
    from pandas import DataFrame

HEAD = ("folder", "name", "state", "seed", "seconds")


class _Row(NamedTuple):
    """What one run fills, by column; the kinds follow each other in the table."""

    head: dict[str, Any]
    results: dict[str, Any]
    settings: dict[str, Any]


def frame(folder: str | Path = "outputs") -> DataFrame:
    """List all runs in and below a folder, those that are not finished included.

    Args:
        folder: Of runs, wherever they were made.

    Returns:
        A row for each run. The columns are `folder`, `name`, `state` (a word of
        `etude.runs.state.RunState`), `seed` and `seconds` (of training); `final.<metric>` and
        `best.<metric>` as in `summary.json`; and by its dotted key every setting that can change a
        result, such as `optimizer.lr`. A run that lacks one has NaN or None there, and lists are
        tuples, so that rows can be grouped by any column.

    Raises:
        UserError: There is no such folder, or pandas is not installed.
    """
    try:
        from pandas import DataFrame  # noqa: PLC0415 (not everywhere, and slow)
    except ImportError as error:
        raise UserError("etude.runs needs pandas; pip install 'etude[pandas]' brings it") from error

    if not Path(folder).is_dir():
        raise UserError(f"{folder} is no folder; give one that has runs in or below it")
    rows = [_row(run) for run in find_runs(Path(folder))]
    kinds = [[row[kind] for row in rows] for kind in range(len(_Row._fields))]
    found = (key for kind in kinds for values in kind for key in values)
    columns = dict.fromkeys((*HEAD, *found))
    records = [{**row.head, **row.results, **row.settings} for row in rows]
    return DataFrame(records, columns=list(columns))


def _row(folder: Path) -> _Row:
    summary: Any = current_summary(folder) or {}
    head = {
        "folder": str(folder),
        "name": summary.get("name", folder.parent.name),
        "state": str(summary.get("state", RunState.NOT_STARTED)),
        "seed": summary.get("seed"),
        "seconds": summary.get("seconds"),
    }
    results = {
        f"{which}.{key}": value
        for which in ("final", "best")
        for key, value in summary.get(which, {}).items()
    }
    settings = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in summary.get("hyperparameters", {}).items()
        if key not in HEAD
    }
    return _Row(head, results, settings)
