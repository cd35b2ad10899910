"""Handing composed jobs to Hydra's launchers and sweepers, or to the task itself."""

from collections.abc import Sequence
from typing import cast

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, configure_log, run_job
from hydra.types import RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf

from etude.base import startup
from etude.base.errors import UserError
from etude.cli import hydra_door as door
from etude.cli.choices import Base
from etude.cli.hydra_door import CONFIG_NAME, Loader


def _note_work(master: DictConfig) -> None:
    """Take it that another's launcher begins at once; Étude's own tells of its first job."""
    if not str(master.hydra.launcher._target_).endswith(".LocalLauncher"):
        startup.note_work("a launcher")


def run(loader: Loader, composed: DictConfig, task: TaskFunction) -> JobReturn:
    """Call the task with one composed configuration, as `hydra.run` does once it has composed."""
    startup.note_work("a run")
    context = door.context(loader, composed)
    configure_log(composed.hydra.hydra_logging, composed.hydra.verbose)
    composed.hydra.mode = RunMode.RUN
    context.callbacks.on_run_start(config=composed, config_name=CONFIG_NAME)
    returned = run_job(
        hydra_context=context,
        task_function=task,
        config=composed,
        job_dir_key="hydra.run.dir",
        job_subdir_key=None,
    )
    context.callbacks.on_run_end(config=composed, config_name=CONFIG_NAME, job_return=returned)
    return returned


def launch(
    loader: Loader, master: DictConfig, task: TaskFunction, words: Sequence[Sequence[str]]
) -> None:
    """Hand jobs to the launcher that a configuration names, in batches where it asks for them.

    Args:
        loader: Gives each job's configuration by its words.
        master: What the launcher is made from.
        task: What it calls for each job.
        words: Of each job.
    """
    context = door.context(loader, master)
    configure_log(master.hydra.hydra_logging, master.hydra.verbose)
    _note_work(master)
    launcher = Plugins.instance().instantiate_launcher(
        config=master, hydra_context=context, task_function=task
    )
    context.callbacks.on_multirun_start(config=master, config_name=CONFIG_NAME)
    size = master.hydra.sweeper.get("max_batch_size") or len(words) or 1
    for first in range(0, len(words), size):
        batch = [list(own) for own in words[first : first + size]]
        launcher.launch(batch, initial_job_idx=first)
    startup.note_work("the launcher's end")
    context.callbacks.on_multirun_end(config=master, config_name=CONFIG_NAME)


def refuse_other(master: DictConfig, composed: DictConfig, base: Base) -> None:
    """Refuse a job that asks for another launcher than the one that all jobs are started by.

    Raises:
        UserError: The experiment that it starts from does.
    """
    if (word := _asked(master, composed, base)) is not None:
        raise UserError(
            f"experiment={base.experiment} asks for {word}, but one launcher starts all jobs; "
            f"give the command the word {word}, or leave it out of the experiment's file"
        )


def _asked(master: DictConfig, composed: DictConfig, base: Base) -> str | None:
    """Write what a job asks for and will not get as a word; None if it gets all of it."""
    # As typed, unresolved: a word may name what only a job has, such as its number.
    words = cast("list[str]", OmegaConf.to_container(master.hydra.overrides.hydra))
    given = any(word.startswith("hydra/launcher=") for word in words)
    chosen = composed.hydra.runtime.choices["hydra/launcher"]
    if base.launcher not in {None, chosen} and not given:
        return f"hydra/launcher={base.launcher}"
    there, here = (OmegaConf.to_container(node.hydra.launcher) for node in (master, composed))
    if here == there or not isinstance(here, dict) or not isinstance(there, dict):
        return None
    return next(f"hydra.launcher.{k}={v}" for k, v in here.items() if there.get(k) != v)


def sweep(loader: Loader, master: DictConfig, task: TaskFunction, words: Sequence[str]) -> None:
    """Hand a command to the sweeper that a configuration names, which finds its jobs by itself."""
    context = door.context(loader, master)
    configure_log(master.hydra.hydra_logging, master.hydra.verbose)
    _note_work(master)
    context.callbacks.on_multirun_start(config=master, config_name=CONFIG_NAME)
    sweeper = Plugins.instance().instantiate_sweeper(
        config=master, hydra_context=context, task_function=task
    )
    sweeper.sweep(arguments=list(words))
    context.callbacks.on_multirun_end(config=master, config_name=CONFIG_NAME)
