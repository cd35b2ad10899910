"""Runs in MLflow: in a SQLite file, or on the server whose address is given."""

import logging
import os
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

from etude.base.text import near
from etude.report.trackers.sent import SentRun
from etude.report.words import setting

_FINGERPRINT = "fingerprint"
_KIND = {"mlflow.experimentKind": "custom_model_development"}  # its page opens with the runs
_FILE = "mlflow.db"
_METRICS, _PARAMETERS = 1000, 100  # that MLflow takes at once


class MLflowStore:
    """Send runs to an MLflow experiment of their project's name.

    Args:
        uri: Of the store or the server.
        artifacts: Where pictures are kept; None leaves it to the server.
    """

    def __init__(self, uri: str, artifacts: Path | None) -> None:
        self._uri, self._artifacts = uri, artifacts
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # it connects nowhere by itself
        os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # not for minutes
        self._package = import_module("mlflow")
        for name in ("mlflow", "alembic"):  # they tell each table that they make
            logging.getLogger(name).setLevel(logging.WARNING)
        self._client: Any = self._package.MlflowClient(tracking_uri=uri)

    @property
    def place(self) -> str:
        """Name the store, as people know it."""
        return self._uri if self._artifacts is None else near(self._artifacts.parent)

    def look(self, project: str) -> str:
        """Give the command that shows it, or its address."""
        del project  # all are shown
        if self._artifacts is None:
            return self._uri
        return f"mlflow ui --backend-store-uri sqlite:///{shlex.quote(self.place)}/{_FILE}"

    def known(self, project: str) -> set[str]:
        """Give the fingerprints of the runs that it has, whole."""
        return {
            run.data.tags[_FINGERPRINT]
            for run in self._found(project, f"tags.{_FINGERPRINT} != ''")
            if run.info.status == "FINISHED"
        }

    def send(self, run: SentRun) -> None:
        """Add a run; what an earlier sending left half done is taken away."""
        for half in self._found(run.project, f"tags.{_FINGERPRINT} = '{run.fingerprint}'"):
            self._client.delete_run(half.info.run_id)
        ended = round(1000 * run.ended)
        began = ended - round(1000 * run.seconds)
        made = self._client.create_run(
            self._experiment(run.project), start_time=began, tags=dict(run.facts), run_name=run.name
        )
        key = made.info.run_id
        self._log_values(key, run, began, ended)
        for name, path in run.pictures.items():
            self._client.log_artifact(key, str(path), name.partition("/")[0])
        self._client.set_terminated(key, "FINISHED", end_time=ended)

    def _log_values(self, key: str, run: SentRun, began: int, ended: int) -> None:
        entities = self._package.entities
        last = run.last[0]
        rows = [*run.epochs, (last, run.results)]
        metrics = [
            entities.Metric(name, value, began + (ended - began) * epoch // max(1, last), epoch)
            for epoch, values in rows
            for name, value in values.items()
        ]
        settings = [entities.Param(name, setting(v)) for name, v in run.settings.items()]
        for start in range(0, len(metrics), _METRICS):
            self._client.log_batch(key, metrics=metrics[start : start + _METRICS])
        for start in range(0, len(settings), _PARAMETERS):
            self._client.log_batch(key, params=settings[start : start + _PARAMETERS])

    def _experiment(self, project: str) -> str:
        found = self._client.get_experiment_by_name(project)
        if found is not None:
            return found.experiment_id
        where = None if self._artifacts is None else (self._artifacts / project).as_uri()
        return self._client.create_experiment(project, artifact_location=where, tags=_KIND)

    def _found(self, project: str, condition: str) -> list[Any]:
        """Give a project's runs, those not finished included."""
        experiment = self._client.get_experiment_by_name(project)
        if experiment is None:
            return []
        runs: list[Any] = []
        page: Any = None
        while page is None or page.token:
            page = self._client.search_runs(
                [experiment.experiment_id], condition, page_token=page and page.token
            )
            runs += page
        return runs


def open_store(place: str) -> MLflowStore:
    """Open a folder, made if it is not there, or what is at an address."""
    if "://" in place:
        return MLflowStore(place, None)
    folder = Path(place).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return MLflowStore(f"sqlite:///{folder / _FILE}", folder / "artifacts")
