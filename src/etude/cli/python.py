"""The door for Python: `etude.compose` and `etude.run`, with the words of the command."""

import dataclasses
import logging
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from etude.base import startup
from etude.base.errors import INTERRUPTED, PREEMPTED, UserError
from etude.base.text import near
from etude.base.threads import bound_spinning
from etude.cli import hydra_door as door
from etude.cli import launching
from etude.cli.bar import Bar
from etude.cli.choices import flatten
from etude.cli.compose import Composer, composing
from etude.cli.job import ComposedJob, PlannedJobs, texts
from etude.cli.refusals import REFUSALS, explain, meant
from etude.cli.run_job import result_of
from etude.cli.start import inspect_jobs
from etude.cli.study_jobs import refuse_study
from etude.cli.terminal import Messages, remark, show_summary
from etude.cli.words import parse
from etude.config import Config
from etude.config.build import import_from
from etude.runs.claim import remove_if_empty

if TYPE_CHECKING:
    from torch import nn

    from etude.cli.load import Weights

# Hydra knows one configuration a process, and PyTorch one state of random numbers.
_ALONE = threading.RLock()


class Composed(Config):
    """A configuration that remembers its words, which make it the run that it is."""

    words: tuple[str, ...] | None = None
    config_dir: str | Path | None = None


@dataclass(frozen=True, repr=False)
class Run:
    """A finished run.

    Args:
        folder: Where it is recorded.
        config: What was trained.
        summary: What its `summary.json` says: `summary["best"]["test_accuracy"]` and so on.
    """

    folder: Path
    config: Config
    summary: Mapping[str, Any] = field(hash=False)

    def network(self, weights: "Weights" = "best") -> "nn.Module":
        """Give its network with the weights of the best or the last epoch; see `etude.load`."""
        from etude.cli.load import load  # noqa: PLC0415 (imports torch)

        return load(self.folder, weights, packages=self.config.packages)

    def __repr__(self) -> str:
        final, best = (self.summary[which]["test_accuracy"] for which in ("final", "best"))
        return f"Run({near(self.folder)}: test accuracy {final:.4f} final, {best:.4f} best)"


def compose(words: Sequence[str] = (), config_dir: str | Path | None = None) -> Config:
    """Compose and check a configuration, as the command would; nothing is written or started.

    Args:
        words: The command's: `["experiment=lenet5_digits", "optimizer.lr=0.01"]`.
        config_dir: A folder of your own configuration files, as `--config-dir` takes one.

    Returns:
        The typed configuration. To change it, compose it again with other words.

    Raises:
        UserError: The words are not valid; the message is the command's.
    """
    with _ALONE, _door(words, config_dir) as (composer, given):
        planned = composer.run(given)
        for line in planned.remarks:
            remark(line)
    return _remembering(planned.jobs[0].config, words, config_dir)


def run(
    words: Sequence[str] | Config = (),
    config_dir: str | Path | None = None,
    *,
    quiet: bool = False,
) -> Run:
    """Train the run that the words make on the command line, or go on with it.

    A finished run is not trained again. One run at a time is trained in a process; a second thread
    waits.

    Args:
        words: The command's, or what `compose` made of them.
        config_dir: A folder of your own configuration files.
        quiet: Print nothing; the run's folder has its log in any case.

    Raises:
        UserError: The words are not valid, or the run cannot be trained here.
        KeyboardInterrupt: It was interrupted, and saved; the same call goes on.
        SystemExit: The process was asked to end, by SIGTERM or the like, and the run is saved.
        Busy: Another process is at work in its folder.
        Diverged: The loss became NaN or infinite.
    """
    given, config_dir = _words_of(words, config_dir)
    with _ALONE, telling(quiet=quiet), _door(given, config_dir) as (composer, given):
        bound_spinning()
        startup.begin()
        startup.mark("Python")
        planned = composer.run(given)
        (job,) = planned.jobs
        _check_unchanged(words, job.config)
        startup.mark("configuration")
        inspect_jobs(planned if not quiet else planned._replace(remarks=[]))
        summary = _summary_of(composer, planned, job, quiet=quiet)
        if not quiet:
            show_summary(summary, job.folder)
    return Run(job.folder, job.config, summary)


@contextmanager
def _door(
    words: Sequence[str], config_dir: str | Path | None
) -> Generator[tuple[Composer, list[str]]]:
    """Give what composes words, and these as Hydra is told them; tell mistakes as the command does.

    Raises:
        UserError: Something is.
    """
    if isinstance(words, str):
        raise UserError(f'"{words}" is one text; give a list of words: ["key=value", …]')
    own = None if config_dir is None else Path(config_dir).absolute()
    if own is not None and not own.is_dir():
        raise UserError(f"config_dir={config_dir} is no folder")
    import_from(Path.cwd(), *([] if own is None else [own]))
    with composing(own) as composer:
        try:
            given = meant(words)
            _refuse_several(composer, given)
            yield composer, given
        except REFUSALS as error:
            raise UserError(explain(error, door.hydra_now(), words)) from None


def _refuse_several(composer: Composer, words: Sequence[str]) -> None:
    """Refuse words that are not one run's."""
    refuse_study(words)
    for word in parse(composer.loader, words):
        if word.is_sweep_override():
            raise UserError(f"{word.input_line} stands for several values; call for each of them")


def _remembering(config: Config, words: Sequence[str], config_dir: str | Path | None) -> Composed:
    composed = Composed(**vars(config))
    composed.words, composed.config_dir = tuple(words), config_dir
    return composed


def _words_of(
    given: Sequence[str] | Config, config_dir: str | Path | None
) -> tuple[Sequence[str], str | Path | None]:
    """Give the words that a configuration was composed from, and where."""
    if not isinstance(given, Config):
        return given, config_dir
    if not isinstance(given, Composed) or given.words is None:
        raise UserError("a run is made from words; give them, or what etude.compose made of them")
    return given.words, given.config_dir


def _check_unchanged(given: Sequence[str] | Config, config: Config) -> None:
    """Refuse a configuration that was changed by hand: its words would make another run.

    Raises:
        UserError: It was.
    """
    if not isinstance(given, Config):
        return
    now, then = (dict(flatten(dataclasses.asdict(some))) for some in (given, config))
    for key in {**now, **then}:
        if now.get(key) != then.get(key):
            raise UserError(
                f"{key}={now.get(key)} was set after the configuration was composed; compose it "
                f'with the word "{key}={now.get(key)}"'
            )


def _summary_of(
    composer: Composer, planned: PlannedJobs, job: ComposedJob, *, quiet: bool
) -> Mapping[str, Any]:
    """Do the job as the command does, but for what becomes of an error: it is the caller's."""
    done: list[Mapping[str, Any]] = []
    failed: list[Exception] = []
    shown = partial(Bar, hidden=quiet)

    def task(composed: DictConfig) -> None:
        try:
            said = texts(composed, cast("DictConfig", HydraConfig.get()))
            done.append(result_of(job, said, gains=composer.gains, display=shown))
        except Exception as error:  # noqa: BLE001 (raised below: Hydra would print of it)
            failed.append(error)

    try:
        launching.run(composer.loader, planned.master, task)
    except SystemExit as left:
        raise _meant_by(left) from None
    finally:
        remove_if_empty(job.folder)
    if failed:
        raise failed[0]
    return done[0]


def _meant_by(left: SystemExit) -> BaseException:
    """Say what a run's end means to a caller: no run ends the process, unless it was asked to."""
    if left.code == INTERRUPTED:
        return KeyboardInterrupt()
    if left.code == PREEMPTED:
        return left
    return RuntimeError(f"a part of the run called sys.exit({left.code})")


@contextmanager
def telling(*, quiet: bool) -> Generator[None]:
    """Print what a run says of itself, or nothing; other handlers of its log stay as they are."""
    logger = logging.getLogger("etude")
    handlers, level, propagate = [*logger.handlers], logger.level, logger.propagate
    if quiet:
        others = [own for own in handlers if not isinstance(own, Messages)]
        logger.handlers = [*others, logging.NullHandler()]  # or Python itself prints warnings
    elif not handlers:
        logger.addHandler(Messages(logging.INFO))
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
    try:
        yield
    finally:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)
