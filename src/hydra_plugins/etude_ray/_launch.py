"""What `hydra/launcher=ray` does: Hydra's jobs as tasks of a Ray cluster."""

import os
import sys
from collections.abc import Sequence
from functools import partial

from etude.launch.job import Entry, Job, Settings
from etude.launch.slots import threads
from etude.launch.task import TaskMethods
from hydra_plugins.etude_local._launch import LocalLaunch
from hydra_plugins.etude_local._refill import Source

# Ray would send a `uv run`'s whole working folder to every machine, data and results included.
_ANY = {"RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}
# A cluster of the command's own: on loopback alone, others on this machine kept out, and nothing
# told to Ray's makers.
_OWN = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # else Ray takes the machine's address instead
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
}


class RayLaunch(LocalLaunch):
    """Hydra's launches on a Ray cluster; the settings are those of `RayLauncherConf`."""

    def _run(
        self, jobs: Sequence[Job], asked: TaskMethods, source: Source | None = None
    ) -> list[Entry]:
        given = self._given
        if "ray" not in sys.modules:  # it reads its environment when it is imported
            for name, value in (_ANY if given["address"] else _ANY | _OWN).items():
                os.environ.setdefault(name, value)
        from hydra_plugins.etude_ray import _cluster, _tasks  # noqa: PLC0415 (import ray)

        share = {key: given[key] for key in ("num_cpus", "num_gpus", "resources")}
        places = 1
        if source is not None or not all(job.about.finished for job in jobs):
            _cluster.connect(given["address"], given["init"])
            places = _cluster.places(share, grows=given["autoscaling"])
        settings = Settings(
            threads=threads(cores=int(given["num_cpus"]), places=1, environment=os.environ),
            retries=given["max_retries"],
            grace_seconds=given["grace_seconds"],
        )
        tasks = partial(_tasks.Tasks, jobs, share=share, settings=settings)
        return self._shown(tasks, places, asked, source)
