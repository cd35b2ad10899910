"""One job as Hydra sees it: its configuration, its work in its own process, and what it returns."""

import pickle
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import cloudpickle
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.core.utils import JobReturn, JobStatus, run_job, setup_globals
from hydra.errors import CompactHydraException
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from etude.base.threads import bound_spinning
from etude.launch.job import Entry, JobFailed

_FOLDER = ("hydra.sweep.dir", "hydra.sweep.subdir")


class _JobFailed(JobFailed, CompactHydraException):
    """What Hydra prints in one line."""


def compose(
    context: HydraContext, config: DictConfig, number: int, overrides: Sequence[str]
) -> DictConfig:
    """Compose a job's configuration, its number and its output folder included."""
    composed = context.config_loader.load_sweep_config(config, list(overrides))
    with open_dict(composed):
        composed.hydra.job.id = str(number)
        composed.hydra.job.num = number
    before = HydraConfig.instance().cfg
    try:
        # The folder's name may interpolate from it; `set_config` would copy all of the node.
        HydraConfig.instance().cfg = cast("Any", composed)
        folder = Path(*(str(OmegaConf.select(composed, key)) for key in _FOLDER)).absolute()
    finally:
        HydraConfig.instance().cfg = before
    with read_write(composed.hydra.runtime), open_dict(composed.hydra.runtime):
        composed.hydra.runtime.output_dir = str(folder)
    return composed


def work(
    context: HydraContext, task: TaskFunction, config: DictConfig, singletons: object
) -> tuple[bytes, int]:
    """Do a job in its own process; give what it returned, pickled, and an exit code.

    Args:
        context: Hydra's, for its callbacks.
        task: What to call.
        config: As `compose` gave it.
        singletons: Hydra's state in the launcher's process, resolvers included.
    """
    bound_spinning()  # on another machine nobody has
    Singleton.set_state(singletons)
    setup_globals()
    returned = run_job(
        hydra_context=context,
        task_function=task,
        config=config,
        job_dir_key=_FOLDER[0],
        job_subdir_key=_FOLDER[1],
    )
    if returned.status == JobStatus.FAILED:
        traceback.print_exception(_value(returned), file=sys.stderr)
        return _pickled(returned), 1
    return _pickled(returned), int(getattr(task, "exit_code", 0))


def _value(returned: JobReturn) -> Any:
    """Give what a job returned or raised; asking for `return_value` would raise it."""
    return vars(returned)["_return_value"]


def _pickled(returned: JobReturn) -> bytes:
    """Pickle what can be: an error that cannot be made again elsewhere goes as its text."""
    try:
        pickled = cloudpickle.dumps(returned)
        pickle.loads(pickled)  # noqa: S301 (our own, just made)
    except Exception as error:  # noqa: BLE001 (whatever a user's class raises)
        value = _value(returned)
        text = f"{type(value).__name__}: {value}"
        if returned.status == JobStatus.COMPLETED:
            text = f"what the job returned cannot be pickled ({error}): {text}"
        returned.return_value = RuntimeError(text)
        returned.status = JobStatus.FAILED
        return cloudpickle.dumps(returned)
    return pickled


def returned(entry: Entry, config: DictConfig) -> JobReturn:
    """Give Hydra what a job returned, or why it did not."""
    if entry.result:
        return pickle.loads(entry.result)  # noqa: S301 (written by our own child)
    task = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    answer = JobReturn(
        overrides=list(config.hydra.overrides.task),
        cfg=task,
        hydra_cfg=OmegaConf.masked_copy(config, ["hydra"]),
        working_dir=config.hydra.runtime.output_dir,
        task_name=config.hydra.job.name,
        status=JobStatus.COMPLETED if entry.done else JobStatus.FAILED,
    )
    answer.return_value = entry.job.about.result
    if not entry.done:
        log = f"; log: {entry.job.log}" if entry.job.log.exists() else ""
        failed = _JobFailed(f"{entry.job.label}: {entry.error or entry.state}{log}")
        failed.unfinished = entry.unfinished
        answer.return_value = failed
    return answer
