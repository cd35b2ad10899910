"""Runs in Trackio's SQLite files."""

import io
import os
import shlex
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any

from etude.base.text import near
from etude.report.trackers.local import folder_of
from etude.report.trackers.sent import SentRun

_FINGERPRINT = "fingerprint"


class TrackioStore:
    """Send runs to a Trackio project.

    Args:
        folder: Trackio's, which it reads from its environment when it is imported.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        os.environ["TRACKIO_DIR"] = str(folder)
        # It would ask for the user's name, and send all to a Space or a server named here.
        os.environ["HF_HUB_OFFLINE"] = "1"
        for name in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "TRACKIO_WEBHOOK_URL"):
            os.environ.pop(name, None)
        self._package = import_module("trackio")

    @property
    def place(self) -> str:
        """Name the store, as people know it."""
        return near(self._folder)

    def look(self, project: str) -> str:
        """Give the command that shows a project."""
        where = shlex.quote(near(self._folder))
        return f"TRACKIO_DIR={where} trackio show --project {shlex.quote(project)}"

    def known(self, project: str) -> set[str]:
        """Give the fingerprints of the runs that it has, whole."""
        return {
            run.config[_FINGERPRINT] for run in self._runs(project) if self._is_whole(project, run)
        }

    def send(self, run: SentRun) -> None:
        """Add a run; what an earlier sending left half done is taken away."""
        for half in self._runs(run.project):
            if half.config[_FINGERPRINT] == run.fingerprint:
                half.delete()
        with redirect_stdout(io.StringIO()):  # it tells of each run
            made = self._package.init(
                project=run.project, name=run.name, group=run.group, config=run.config,
                resume="never", embed=False, auto_log_gpu=False, auto_log_cpu=False,
            )  # fmt: skip
            for epoch, values in run.epochs[:-1]:
                made.log(dict(values), step=epoch)
            last, values = run.last
            pictures = {name: self._package.Image(str(path)) for name, path in run.pictures.items()}
            made.log({**values, **pictures, **run.results}, step=last)
            self._package.finish()

    def _runs(self, project: str) -> list[Any]:
        """Give a project's runs of Étude's."""
        try:
            found = list(self._package.Api().runs(project))
        except ValueError:  # there is no such project yet
            return []
        return [run for run in found if _FINGERPRINT in (run.config or {})]

    def _is_whole(self, project: str, run: Any) -> bool:
        """Whether its last row came in, which has the results."""
        names = self._package.SQLiteStorage.get_all_metrics_for_run(
            project, run.name, run_id=run.id
        )
        return "final/test_accuracy" in names


def open_store(place: str) -> TrackioStore:
    """Open a folder, made if it is not there."""
    return TrackioStore(folder_of(place, "trackio", "trackio sync sends a project from there"))
