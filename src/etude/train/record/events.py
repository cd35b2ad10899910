"""TensorBoard's view of a run: scalars and hyperparameters, in the run's own folder."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto import summary_pb2
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from torch.utils.tensorboard.summary import hparams
from torch.utils.tensorboard.writer import SummaryWriter

from etude.base.text import tag, tensorboard_setting

# Code that a protobuf compiler wrote, and that says nothing of its types.
_summary: Any = summary_pb2
_api: Any = api_pb2
_data: Any = plugin_data_pb2

log = logging.getLogger(__name__)


class Events:
    """Write a run's epochs as TensorBoard scalars, with one HParams session.

    The hyperparameters are told at the start and their metrics are the ordinary scalars, so
    that TensorBoard shows a run while it trains and in one row. A full disk ends the view, not
    the run.

    Args:
        folder: The run's folder.
        hyperparameters: Dotted keys and their values.
        group: Runs of one group (the seeds of one arm) are shown as their mean.
        purge_step: First epoch that is to come, after a resume: later ones are dropped.
    """

    def __init__(
        self,
        folder: Path,
        hyperparameters: Mapping[str, Any],
        *,
        group: str,
        purge_step: int | None,
    ) -> None:
        self._writer: SummaryWriter | None = None
        try:
            self._writer = SummaryWriter(str(folder), purge_step=purge_step, flush_secs=10)
            self._start(hyperparameters, group)
        except OSError as error:
            self._give_up(error)

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Add one line of `metrics.jsonl`, at its epoch."""
        if self._writer is None:
            return
        try:
            for key, value in row.items():
                if isinstance(value, int | float) and key not in {"epoch", "step"}:
                    self._writer.add_scalar(tag(key), value, row["epoch"])
        except OSError as error:
            self._give_up(error)

    def add(self, kind: str, *args: Any, **settings: Any) -> None:
        """Call the writer's `add_<kind>`."""
        if self._writer is None:
            return
        try:
            getattr(self._writer, f"add_{kind}")(*args, **settings)
        except OSError as error:
            self._give_up(error)

    def close(self, *, succeeded: bool | None) -> None:
        """End the view; None leaves the session open, for a run that will go on."""
        if self._writer is None:
            return
        try:
            if succeeded is not None:
                self._end(succeeded=succeeded)
            self._writer.close()
        except OSError as error:
            self._give_up(error)

    def _start(self, hyperparameters: Mapping[str, Any], group: str) -> None:
        # Not the seed: a group's row would show that of one of its runs beside the mean of all.
        flat = {
            k.removesuffix("._target_"): tensorboard_setting(v)
            for k, v in hyperparameters.items()
            if k != "seed"
        }
        # Without an experiment's summary TensorBoard looks for the columns in all runs and puts
        # those that differ first; with one, the first run it finds decides for all of them.
        _, session, _ = hparams(flat, {})
        content = _data.HParamsPluginData.FromString(session.value[0].metadata.plugin_data.content)
        content.session_start_info.group_name = group
        content.session_start_info.start_time_secs = time.time()
        session.value[0].metadata.plugin_data.content = content.SerializeToString()
        self._add(session)

    def _end(self, *, succeeded: bool) -> None:
        status = _api.Status.Value("STATUS_SUCCESS" if succeeded else "STATUS_FAILURE")
        info = _data.SessionEndInfo(status=status, end_time_secs=time.time())
        content = _data.HParamsPluginData(session_end_info=info)
        value = _summary.Summary.Value(
            tag=metadata.SESSION_END_INFO_TAG, metadata=metadata.create_summary_metadata(content)
        )
        self._add(_summary.Summary(value=[value]))

    def _add(self, summary: Any) -> None:
        if self._writer is not None and self._writer.file_writer is not None:
            self._writer.file_writer.add_summary(summary)

    def _give_up(self, error: OSError) -> None:
        log.warning("TensorBoard's files cannot be written (%s); training goes on without", error)
        self._writer = None
