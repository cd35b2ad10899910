"""The command `etude`: Hydra in, exit code out.

0: done. 1: a run failed. 2: the command was refused, and nothing was started or written.
75: asked to stop by SIGTERM, and saved. 130: likewise by Ctrl-C.

Nothing in here imports torch before a job has passed every check.
"""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

import etude
from etude.base import startup
from etude.base.errors import UserError
from etude.cli import hydra_door as door
from etude.cli import launching, study_jobs
from etude.cli import search as searches
from etude.cli.compose import Composer, Job, Planned
from etude.cli.explain import explain, refuse_words
from etude.cli.hydra_door import CONFIG_NAME
from etude.cli.outcomes import (
    Unwritable,
    finished,
    launch_all,
    launcher_needed,
    name,
    outcome,
    outputs_needed,
    verdict,
)
from etude.cli.terminal import (
    Messages,
    announce_report,
    announce_study,
    announce_time,
    complain,
    remark,
    show_arms,
    show_runs,
    show_sweep,
)
from etude.cli.worker import Worker
from etude.config import Config
from etude.config.build import import_from
from etude.launch.job import JobFailed
from etude.runs.identity import check_identity, kin
from etude.runs.records import read_rows
from etude.runs.status import current_summary, note, status
from etude.runs.study import PlannedRun, write_plan

if TYPE_CHECKING:
    from etude.cli.hydra_door import Hydra


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return _answer(_parser(), _dispatch, arguments)


def main_of_one_job(
    parser: argparse.ArgumentParser,
    do: Callable[[Job, argparse.Namespace], int],
    arguments: Sequence[str] | None = None,
) -> int:
    """Run another command, about the one job that its words describe; return its exit code.

    Its words are checked, and refused, as those of `etude` are.

    Args:
        parser: Gives `overrides` and `config_dir`.
        do: Takes the checked job and what was parsed; gives the exit code.
        arguments: The words; None takes the process's.
    """

    def dispatch(composer: Composer, args: argparse.Namespace) -> int:
        study_jobs.refuse_study(args.overrides)
        (job,) = composer.run(args.overrides).jobs
        return do(job, args)

    return _answer(parser, dispatch, arguments)


def _answer(
    parser: argparse.ArgumentParser,
    dispatch: Callable[[Composer, argparse.Namespace], int],
    arguments: Sequence[str] | None,
) -> int:
    """Do what the words ask for, and tell in one line why not."""
    startup.begin()
    startup.mark("Python and Hydra")
    _log_to_terminal()
    given = list(sys.argv[1:] if arguments is None else arguments)
    hydra: Hydra | None = None
    try:
        args = parser.parse_intermixed_args(given)
        refuse_words(args.overrides)
        own = _own_files(args.config_dir)
        import_from(Path.cwd(), *([] if own is None else [own]))
        loader = door.make_loader(own)
        hydra = door.make_hydra(loader)
        return dispatch(Composer(loader), args)
    except Unwritable as error:
        complain(error)
        return 1
    except (UserError, HydraException, OmegaConfBaseException, YAMLError) as error:
        complain(explain(error, hydra, given))
        return 2
    except KeyboardInterrupt:
        return 130
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    finally:
        door.close()


class Parser(argparse.ArgumentParser):
    """A command's options, with errors in one line."""

    listed_by = "--help"

    def error(self, message: str) -> Any:
        """Refuse the words.

        Raises:
            UserError: Always.
        """
        if "unrecognized arguments: --" in message:
            message += "; a key is written without dashes: key=value"
        raise UserError(f"{message}; the options are listed by {self.listed_by}")


class _HydraParser(Parser):
    listed_by = "--hydra-help"


# Options of Hydra's that name nothing here, by what to do instead.
_REFUSED = {
    "config_name": "there is one configuration; choose a recipe with experiment=<name>",
    "config_path": "add a folder of your own with --config-dir <folder>",
    "experimental_rerun": "give the run's own command again, which goes on with it: its words are "
    "in .hydra/overrides.yaml",
}


class _Refused(argparse.Action):
    def __call__(self, *given: Any) -> None:
        _, _, value, option = given
        raise UserError(f"{option} {value}: {self.help}")


def _parser() -> argparse.ArgumentParser:
    parser = door.make_parser()
    parser.__class__ = _HydraParser
    for action in parser._actions:
        if "--version" in action.option_strings:
            cast("Any", action).version = f"etude {etude.__version__}"
        if action.dest in _REFUSED:
            action.__class__, action.help = _Refused, _REFUSED[action.dest]
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="List the runs, which are done, half done or not started, and the expected time",
    )
    return parser


def _own_files(config_dir: str | None) -> Path | None:
    """Find a user's own configuration files."""
    if config_dir is None:
        return None
    folder = Path(config_dir).absolute()
    if not folder.is_dir():
        raise UserError(f"--config-dir {config_dir} is no folder")
    return folder


def _dispatch(composer: Composer, args: argparse.Namespace) -> int:
    hydra = door.hydra_now()
    if args.help:
        hydra.app_help(config_name=CONFIG_NAME, args_parser=_parser(), args=args)
    elif args.hydra_help:
        hydra.hydra_help(config_name=CONFIG_NAME, args_parser=_parser(), args=args)
    elif args.shell_completion:
        hydra.shell_completion(config_name=CONFIG_NAME, overrides=args.overrides)
    elif args.info:
        hydra.show_info(args.info, config_name=CONFIG_NAME, overrides=args.overrides)
    elif args.cfg:
        if args.multirun:
            raise UserError(
                "--cfg shows one job's configuration; leave out -m, or list the jobs by --dry-run"
            )
        _tell(composer.run(args.overrides).remarks)  # checked before it is shown
        hydra.show_cfg(
            config_name=CONFIG_NAME,
            overrides=args.overrides,
            cfg_type=args.cfg,
            package=args.package,
            resolve=args.resolve,
        )
    else:
        return _launch(composer, args)
    return 0


def _launch(composer: Composer, args: argparse.Namespace) -> int:
    """Check all jobs, then start the first."""
    words: list[str] = args.overrides
    if study_jobs.names_study(words):
        if (search := searches.of_study(composer, words)) is not None:
            return searches.launch(composer, search)
        return _launch_study(composer, args)
    mode = composer.loader.base(words, RunMode.MULTIRUN if args.multirun else RunMode.RUN)
    sweep = args.multirun or mode.copy().hydra.mode == RunMode.MULTIRUN
    if sweep and (search := searches.of_words(composer, words)) is not None:
        return searches.launch(composer, search)
    planned = composer.sweep(words) if sweep else composer.run(words)
    startup.mark("configuration")
    inspect_jobs(planned)
    if args.dry_run:
        return _list(planned.jobs)
    return _sweep(composer, planned) if sweep else _run(composer, planned)


def _run(composer: Composer, planned: Planned) -> int:
    worker = Worker(composer, several=False)
    with outputs_needed():
        launching.run(composer.loader, planned.master, worker)
    return worker.exit_code


def _sweep(composer: Composer, planned: Planned) -> int:
    worker = Worker(composer, several=True)
    with outputs_needed():
        note(_wanted(planned.jobs))
        # The launcher has told of failures, and the verdict is in the runs' folders.
        with suppress(JobFailed), launcher_needed():
            composer.launch(planned, planned.jobs, worker)
    show_sweep(outcome(job) for job in planned.jobs)
    return verdict(planned.jobs)


def _launch_study(composer: Composer, args: argparse.Namespace) -> int:
    """Say what a study asks and what it will take, run it, and tell how its arms compare."""
    study, planned = study_jobs.plan(composer, args.overrides)
    jobs = planned.jobs
    try:
        inspect_jobs(planned)
    except UserError as error:
        if "init.weights=imagenet" in str(error):
            raise UserError(f"{error}; or leave out those arms: pretrained=false") from error
        raise
    waiting = [job for job in jobs if not finished(job)]
    announce_study(study, runs=len(jobs), waiting=[job.config.epochs for job in waiting])
    if args.dry_run:
        return _list(jobs)
    seconds = _expect(waiting)
    if seconds:
        announce_time(sum(seconds.values()))
    worker = Worker(composer, several=True, seconds=seconds)
    with outputs_needed():
        runs = {job.folder.name: PlannedRun(arm=job.label, seed=job.config.seed) for job in jobs}
        write_plan(jobs[0].folder.parent, study.plan(runs, args.overrides))
        note(_wanted(jobs))
        launch_all(jobs, lambda some: composer.launch(planned, some, worker))
    show_arms(
        study,
        [(job.label, current_summary(job.folder), read_rows(job.folder)) for job in jobs],
    )
    _report(jobs[0].folder.parent)
    return verdict(jobs)


def _report(folder: Path) -> None:
    """End a study by writing its report."""
    from etude.report.write import make, write  # noqa: PLC0415 (not needed for --help)

    with outputs_needed():
        write(make([folder]), folder / "report")
    announce_report(folder / "report" / "report.html")


def _list(planned: list[Job]) -> int:
    """Tell where runs stand and what they will still take, one after the other."""
    seconds = _expect([job for job in planned if not finished(job)])
    runs = [status(*wanted) for wanted in _wanted(planned)]
    shares = [1 - run.epoch / run.epochs if run.epochs else 1.0 for run in runs]
    lefts = [seconds.get(run.folder, 0.0) * share for run, share in zip(runs, shares, strict=True)]
    show_runs(runs, lefts)
    return 0


def _expect(waiting: list[Job]) -> dict[Path, float]:
    """Estimate the seconds of each run from its beginning; nothing if that cannot be done.

    It is measured in another process: the network may be a user's own, and may do anything.
    """
    if not waiting:
        return {}
    from etude.launch.apart import call_apart  # noqa: PLC0415 (not needed for --help or --cfg)

    measure = partial(_measure, [job.config for job in waiting])
    seconds = call_apart(measure, preload=["torch", "etude.preflight.estimate", "torch._dynamo"])
    return (
        {} if seconds is None else dict(zip((job.folder for job in waiting), seconds, strict=True))
    )


def _measure(configs: list[Config]) -> list[float]:
    from etude.preflight.estimate import seconds_of_each  # noqa: PLC0415 (imports torch)

    return seconds_of_each(configs)


def _wanted(planned: list[Job]) -> list[tuple[Path, str, int]]:
    return [(job.folder, name(job), job.config.epochs) for job in planned]


def inspect_jobs(planned: Planned) -> None:
    """Tell what is to be known of jobs, and refuse what could not be made.

    Raises:
        UserError: A folder holds another run, or a job could not be trained.
    """
    from etude.preflight.checks import inspect  # noqa: PLC0415 (not needed for --help or --cfg)

    _tell(planned.remarks)
    for job in planned.jobs:
        if job.config.fresh:
            continue
        check_identity(job.folder, job.identity)
        if not job.folder.exists():
            _tell(kin(job.folder, job.identity))
    here = [job.config for job in planned.jobs if job.local and not finished(job)]
    inspect(here, {str(job.folder) for job in planned.jobs})


def _tell(remarks: Sequence[str]) -> None:
    for line in remarks:
        remark(line)


def _log_to_terminal() -> None:
    logger = logging.getLogger("etude")
    logger.setLevel(logging.DEBUG)
    if not logger.handlers:
        handler = Messages(logging.INFO)
        logger.addHandler(handler)
        logger.propagate = False


if __name__ == "__main__":
    sys.exit(main())
