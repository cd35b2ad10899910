"""Runs as Weights & Biases writes them offline, for `wandb sync`."""

import os
import re
import shlex
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from etude.base.text import near
from etude.report.trackers.local import folder_of
from etude.report.trackers.sent import SentRun

_LONGEST = 64  # characters of a run's id


class WandbStore:
    """Write runs into a folder of offline runs, each once: its id is its project and fingerprint.

    Args:
        folder: Of the runs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        os.environ["WANDB_ERROR_REPORTING"] = "false"  # it connects nowhere by itself
        self._package = import_module("wandb")

    @property
    def place(self) -> str:
        """Name the store, as people know it."""
        return near(self._folder)

    def look(self, project: str) -> str:
        """Give the command that sends a project's runs to the server."""
        return f"wandb sync {shlex.quote(near(self._folder))}/offline-run-*-{_id(project, '')}*"

    def known(self, project: str) -> set[str]:
        """Give the fingerprints of the runs that it has, sent on or not."""
        start = re.escape(_id(project, ""))
        matches = (
            re.fullmatch(rf"(?:offline-)?run-\d+_\d+-{start}(\w+)", path.name)
            for path in self._folder.iterdir()
        )
        return {match[1] for match in matches if match}

    def send(self, run: SentRun) -> None:
        """Add a run, in one go: it is written beside the others and moved when it is whole."""
        with TemporaryDirectory(dir=self._folder, prefix=".sending-") as beside:
            made = self._package.init(
                project=_slug(run.project), id=_id(run.project, run.fingerprint), name=run.name,
                group=run.group, config=run.config,
                dir=beside, mode="offline", settings=self._settings(),
            )  # fmt: skip
            for epoch, values in run.epochs[:-1]:
                made.log(dict(values), step=epoch)
            last, values = run.last
            pictures = {name: self._package.Image(str(path)) for name, path in run.pictures.items()}
            made.log({**values, **pictures}, step=last)
            made.summary.update(dict(run.results))
            made.finish()
            for written in Path(beside).glob("wandb/offline-run-*"):
                written.rename(self._folder / written.name)

    def _settings(self) -> object:
        """Leave out what the package finds out about this process, which trained nothing."""
        return self._package.Settings(
            console="off", silent=True, save_code=False, disable_git=True, x_disable_stats=True,
            x_disable_meta=True, x_disable_machine_info=True,
        )  # fmt: skip


def open_store(place: str) -> WandbStore:
    """Open a folder, made if it is not there."""
    return WandbStore(folder_of(place, "wandb", "wandb sync sends runs from there"))


def _id(project: str, fingerprint: str) -> str:
    return f"{_slug(project)[: _LONGEST - 9]}-{fingerprint}"


def _slug(project: str) -> str:
    """Write a project's name with what wandb takes."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", project)
