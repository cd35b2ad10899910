"""Each arm's average over its seeds as a TensorBoard run of its own, with the band of its seeds.

TensorBoard cannot average runs (tensorboard issue 376). An arm's run has the mean under the tag of
its seeds' runs, and the lowest and the highest seed under tags that a layout draws around it on the
page Custom Scalars. Its HParams have the settings in which arms differ, and no other.
"""

import math
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as layout_metadata
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util.tensor_util import make_tensor_proto

from etude.base.text import arm_of, tag, tensorboard_setting, trial
from etude.report.arms import Arm, varied
from etude.report.results import Results

# Code that a protobuf compiler wrote, and that says nothing of its types.
_event: Any = event_pb2
_summary: Any = summary_pb2
_layout: Any = layout_pb2
_api: Any = api_pb2
_data: Any = plugin_data_pb2
# Tags that begin as no metric does, and after all of them: HParams shows the first few.
_AVERAGES = {"{}": np.nanmean, "seeds/{}/lowest": np.nanmin, "seeds/{}/highest": np.nanmax}


def write_averages(results: Results, folder: Path) -> None:
    """Write a run for each arm, called as the arm is, in the place of earlier ones."""
    shutil.rmtree(folder, ignore_errors=True)
    arms = [row.arm for row in results.rows]
    tables = [{tag(key): t for key in _keys(arm) if (t := _table(arm, key)).size} for arm in arms]
    differing = varied(arms)
    shown = sorted({name for own in tables for name in own})
    for arm, own in zip(arms, tables, strict=True):
        if own:
            summaries = [_layout_of(shown), *_session(arm, differing)]
            shown = []  # the first one's layout is for all
            _write(folder / re.sub(r"[^\w.=+,() -]", "_", arm.label), own, summaries)


def _keys(arm: Arm) -> list[str]:
    return sorted({key for run in arm.runs for key in run.columns} - {"epoch", "step"})


def _table(arm: Arm, key: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Put the seeds' values above each other, for the epochs that all of those with any have."""
    found = [run.columns[key] for run in arm.runs if run.columns.get(key)]
    length = min((len(values) for values in found), default=0)
    table = np.array([values[:length] for values in found], dtype=np.float64)
    return table if np.isfinite(table).any(axis=0).all() else np.empty((0, 0))


def _layout_of(tags: Sequence[str]) -> Any:
    """Draw each metric's mean with its band, one category a quantity; no run need have all tags."""
    _, low, high = _AVERAGES
    charts: dict[str, list[Any]] = {}
    for name in tags:
        series = _layout.MarginChartContent.Series(
            value=name, lower=low.format(name), upper=high.format(name)
        )
        chart = _layout.Chart(title=name, margin=_layout.MarginChartContent(series=[series]))
        charts.setdefault(name.partition("/")[0], []).append(chart)
    categories = [_layout.Category(title=title, chart=own) for title, own in charts.items()]
    text = _layout.Layout(category=categories).SerializeToString()
    value = _summary.Summary.Value(
        tag=layout_metadata.CONFIG_SUMMARY_TAG,
        tensor=make_tensor_proto(text),
        metadata=layout_metadata.create_summary_metadata(),
    )
    return _summary.Summary(value=[value])


def _session(arm: Arm, keys: Iterable[str]) -> list[Any]:
    """Make the arm a row of HParams: the one that its seeds' own sessions make, beside them."""
    settings = arm.runs[0].hyperparameters
    told = {
        key.removesuffix("._target_"): tensorboard_setting(settings[key])
        for key in keys
        if key in settings
    }
    if not told:
        return []
    rows = {trial(arm_of(run.folder.name), run.name) for run in arm.runs}
    name = rows.pop() if len(rows) == 1 else arm.label
    start = _data.SessionStartInfo(group_name=name)
    for key, value in told.items():
        kind = "string" if isinstance(value, str) else "number"
        setattr(start.hparams[key], f"{kind}_value", value)
    end = _data.SessionEndInfo(status=_api.Status.Value("STATUS_SUCCESS"))
    return [
        _hparams(metadata.SESSION_START_INFO_TAG, session_start_info=start),
        _hparams(metadata.SESSION_END_INFO_TAG, session_end_info=end),
    ]


def _hparams(name: str, **content: Any) -> Any:
    described = metadata.create_summary_metadata(_data.HParamsPluginData(**content))
    return _summary.Summary(value=[_summary.Summary.Value(tag=name, metadata=described)])


def _write(folder: Path, tables: Mapping[str, Any], summaries: Iterable[Any]) -> None:
    folder.mkdir(parents=True)
    writer = EventFileWriter(str(folder))
    for summary in summaries:
        writer.add_event(_event.Event(wall_time=0, summary=summary))
    for name, table in tables.items():
        for kind, average in _AVERAGES.items():
            for index, value in enumerate(average(table, axis=0)):
                if math.isfinite(value):
                    scalar = _summary.Summary.Value(tag=kind.format(name), simple_value=value)
                    summary = _summary.Summary(value=[scalar])
                    point = _event.Event(step=index + 1, wall_time=index + 1, summary=summary)
                    writer.add_event(point)
    writer.close()
