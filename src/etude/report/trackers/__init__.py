"""Finished runs in the tracker that a team has: MLflow, Trackio, or Weights & Biases.

A tracker's package is imported only when it is asked for, and connects nowhere: each has a store on
this machine. `sent` says what of a run is sent, one file a tracker how.
"""

from collections.abc import Collection, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Protocol

from etude.base.errors import UserError
from etude.base.places import outputs_folder
from etude.base.text import first_line
from etude.report.trackers.sent import SentRun

TRACKERS = ("mlflow", "trackio", "wandb")


class Tracker(Protocol):
    """Where runs are sent."""

    @property
    def place(self) -> str:
        """Name the store, as people know it."""
        ...

    def look(self, project: str) -> str:
        """Give the command that shows a project, or takes it further."""
        ...

    def known(self, project: str) -> Collection[str]:
        """Give the fingerprints of the runs that it has, whole."""
        ...

    def send(self, run: SentRun) -> None:
        """Add a run, which it does not have yet."""
        ...


def open_tracker(name: str, store: str | None) -> Tracker:
    """Open a tracker's store, and import its package for it.

    Args:
        name: One of `TRACKERS`.
        store: A folder, made if it is not there, or an address where the tracker takes one; None: a
            folder of its name below the results.

    Raises:
        UserError: Its package is not installed, or it takes no address.
        OSError: Its store cannot be opened.
    """
    place = store or str(Path(outputs_folder(), name))
    try:
        opened: Tracker = import_module(f"etude.report.trackers.{name}").open_store(place)
    except ImportError as error:
        raise UserError(
            f"--to {name} needs its package ({first_line(error)}); pip install 'etude[{name}]' "
            "brings it"
        ) from error
    except (UserError, OSError):
        raise
    except Exception as error:  # whatever a package raises for a store that is none
        raise OSError(f"{place}: {_said(error)}") from error
    return opened


class Sending(NamedTuple):
    """What became of runs that were to be sent: the last ones the tracker did not keep."""

    sent: list[SentRun]
    there: list[SentRun]
    lost: list[SentRun]


def send(tracker: Tracker, runs: Sequence[SentRun]) -> Sending:
    """Send runs, those left out that the tracker has.

    Raises:
        OSError: The tracker cannot take them.
    """
    try:
        return _send(tracker, runs)
    except Exception as error:  # whatever a package raises that cannot do something
        raise OSError(f"{tracker.place}: {_said(error)}") from error


def _said(error: Exception) -> str:
    """Give what a package says; a number or a name alone is not clear without the error's kind."""
    said = first_line(error)
    return said if " " in said else f"{type(error).__name__} {said}".strip()


def _send(tracker: Tracker, runs: Sequence[SentRun]) -> Sending:
    sent: list[SentRun] = []
    there: list[SentRun] = []
    known = {project: set(tracker.known(project)) for project in _projects(runs)}
    for run in runs:
        if run.fingerprint in known[run.project]:
            there.append(run)
            continue
        tracker.send(run)
        known[run.project].add(run.fingerprint)
        sent.append(run)
    kept = {project: tracker.known(project) for project in _projects(sent)}
    lost = [run for run in sent if run.fingerprint not in kept[run.project]]
    return Sending([run for run in sent if run not in lost], there, lost)


def _projects(runs: Sequence[SentRun]) -> dict[str, None]:
    return dict.fromkeys(run.project for run in runs)
