"""Each arm's average over its seeds as TensorBoard runs of their own: mean, lowest, highest.

TensorBoard cannot average runs (tensorboard issue 376); these runs stand beside the seeds' own.
"""

import math
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from etude.base.text import tag
from etude.report.arms import Arm
from etude.report.results import Results

# Code that a protobuf compiler wrote, and that says nothing of its types.
_event: Any = event_pb2
_summary: Any = summary_pb2
_AVERAGES = {"mean": np.nanmean, "lowest": np.nanmin, "highest": np.nanmax}


def write_averages(results: Results, folder: Path) -> None:
    """Write three runs for each arm, `<arm>/mean` and so on, in the place of earlier ones."""
    shutil.rmtree(folder, ignore_errors=True)
    for row in results.rows:
        name = re.sub(r"[^\w.=+,() -]", "_", row.label)
        tables = {key: table for key in _keys(row.arm) if (table := _table(row.arm, key)).size}
        for kind, average in _AVERAGES.items():
            _write(folder / name / kind, {key: average(t, axis=0) for key, t in tables.items()})


def _keys(arm: Arm) -> list[str]:
    return sorted({key for run in arm.runs for key in run.columns} - {"epoch", "step"})


def _table(arm: Arm, key: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Put the seeds' values above each other, for the epochs that all of those with any have."""
    found = [run.columns[key] for run in arm.runs if run.columns.get(key)]
    length = min((len(values) for values in found), default=0)
    table = np.array([values[:length] for values in found], dtype=np.float64)
    return table if np.isfinite(table).any(axis=0).all() else np.empty((0, 0))


def _write(folder: Path, columns: Mapping[str, Sequence[float]]) -> None:
    if not columns:
        return
    folder.mkdir(parents=True)
    writer = EventFileWriter(str(folder))
    for key, values in columns.items():
        for index, value in enumerate(values):
            if math.isfinite(value):
                scalar = _summary.Summary.Value(tag=tag(key), simple_value=value)
                summary = _summary.Summary(value=[scalar])
                writer.add_event(_event.Event(step=index + 1, wall_time=index + 1, summary=summary))
    writer.close()
