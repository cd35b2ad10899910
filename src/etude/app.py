"""The command `etude`: Hydra in, exit code out.

0: done. 1: a run failed. 2: the command was refused, and nothing was started or written.
75: asked to stop by SIGTERM, and saved. 130: likewise by Ctrl-C.

Nothing in here imports torch before a job has passed every check.
"""

import argparse
import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

import etude
from etude import jobs, startup
from etude.console import (
    Messages,
    announce_report,
    announce_study,
    announce_time,
    complain,
    show_arms,
    show_runs,
    show_sweep,
)
from etude.errors import UserError
from etude.explain import explain
from etude.jobs import CONFIG_NAME, Job
from etude.launch.job import JobFailed
from etude.record.folder import read_metrics
from etude.record.plan import write_plan
from etude.search import door as searches
from etude.standing import note, standing, summary_now
from etude.work import (
    Unwritable,
    Worker,
    finished,
    launch_all,
    launcher_needed,
    name,
    outcome,
    outputs_needed,
    verdict,
)


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

    def dispatch(hydra: Hydra, args: argparse.Namespace) -> int:
        for word in args.overrides:
            if word.startswith("study="):
                raise UserError(f"{word} stands for many runs; give one of them: experiment=<name>")
        (job,) = jobs.plan(hydra, args.overrides, RunMode.RUN)
        return do(job, args)

    return _answer(parser, dispatch, arguments)


def _answer(
    parser: argparse.ArgumentParser,
    dispatch: Callable[[Hydra, argparse.Namespace], int],
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
        hydra = _hydra(args.config_dir)
        return dispatch(hydra, args)
    except UserError as error:
        complain(error)
        return 2
    except Unwritable as error:
        complain(error)
        return 1
    except (HydraException, OmegaConfBaseException) as error:
        complain(explain(error, hydra, given))
        return 2
    except KeyboardInterrupt:
        return 130
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    finally:
        GlobalHydra.instance().clear()


class Parser(argparse.ArgumentParser):
    """A command's options, with errors in one line."""

    listed_by = "--help"

    def error(self, message: str) -> Any:
        """Refuse the words.

        Raises:
            UserError: Always.
        """
        raise UserError(f"{message}; the options are listed by {self.listed_by}")


class _HydraParser(Parser):
    listed_by = "--hydra-help"


def _parser() -> argparse.ArgumentParser:
    parser = get_args_parser()
    parser.__class__ = _HydraParser
    for action in parser._actions:
        if "--version" in action.option_strings:
            cast("Any", action).version = f"etude {etude.__version__}"
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="List the runs, which are done, half done or not started, and the expected time",
    )
    return parser


def _hydra(config_dir: str | None) -> Hydra:
    """Set Hydra up over the shipped configuration, with the user's own files before it."""
    search_path: ConfigSearchPath = create_config_search_path(str(_shipped()))
    if config_dir is not None:
        folder = Path(config_dir).absolute()
        if not folder.is_dir():
            raise UserError(f"--config-dir {config_dir} is no folder")
        search_path.prepend("command-line", f"file://{folder}", SearchPathQuery(provider="main"))
    jobs.register_resolvers()
    # Our preset lies over the plugin's own node on purpose.
    warnings.filterwarnings("ignore", message=r"\n'hydra/launcher/ray' is validated against")
    return Hydra.create_main_hydra2(task_name="etude", config_search_path=search_path)


def _shipped() -> Path:
    """Find `conf/`: inside the package in a wheel, at the top of the checkout otherwise."""
    package = Path(etude.__file__).parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parents[1] / "conf"


def _dispatch(hydra: Hydra, args: argparse.Namespace) -> int:
    if args.help:
        _list_groups_from_one_repository(hydra)
        hydra.app_help(config_name=CONFIG_NAME, args_parser=_parser(), args=args)
    elif args.hydra_help:
        hydra.hydra_help(config_name=CONFIG_NAME, args_parser=_parser(), args=args)
    elif args.shell_completion:
        hydra.shell_completion(config_name=CONFIG_NAME, overrides=args.overrides)
    elif args.info:
        hydra.show_info(args.info, config_name=CONFIG_NAME, overrides=args.overrides)
    elif args.cfg:
        checked = jobs.compose(hydra, args.overrides)
        show: Any = hydra
        show.compose_config = partial(_given, checked)  # it would compose it once more
        hydra.show_cfg(
            config_name=CONFIG_NAME,
            overrides=args.overrides,
            cfg_type=args.cfg,
            package=args.package,
            resolve=args.resolve,
        )
    else:
        return _launch(hydra, args)
    return 0


def _given(composed: DictConfig, **_: Any) -> DictConfig:
    return composed


def _list_groups_from_one_repository(hydra: Hydra) -> None:
    """Spare `--help` most of its time: Hydra builds a repository anew for every group it lists."""
    loader: Any = hydra.config_loader
    _, repository = loader._parse_overrides_and_create_caching_repo(None, [])

    def options(group_name: str, results_filter: Any = ObjectType.CONFIG, **_: Any) -> list[str]:
        return repository.get_group_options(group_name, results_filter)

    loader.get_group_options = options


def _launch(hydra: Hydra, args: argparse.Namespace) -> int:
    """Check all jobs, then start the first."""
    if any(word.startswith("study=") for word in args.overrides):
        if (search := searches.of_study(hydra, args.overrides)) is not None:
            return searches.launch(hydra, search, Worker(several=True))
        return _launch_study(hydra, args)
    sweep = args.multirun or hydra.get_mode(CONFIG_NAME, args.overrides) == RunMode.MULTIRUN
    if sweep and (search := searches.of_words(hydra, args.overrides)) is not None:
        return searches.launch(hydra, search, Worker(several=True))
    mode = RunMode.MULTIRUN if sweep else RunMode.RUN
    planned = jobs.plan(hydra, args.overrides, mode)
    startup.mark("configuration")
    _inspect(planned)
    if args.dry_run:
        return _list(planned)
    overrides = [*args.overrides, f"hydra.mode={mode.name}"]
    worker = Worker(several=sweep, planned=planned)
    with outputs_needed():
        if not sweep:
            hydra.run(CONFIG_NAME, worker, overrides)
            return worker.exit_code
        note(_wanted(planned))
        # The launcher has told of failures, and the verdict is in the runs' folders.
        with suppress(JobFailed), launcher_needed():
            hydra.multirun(CONFIG_NAME, worker, overrides)
    show_sweep(outcome(job) for job in planned)
    return verdict(planned)


def _launch_study(hydra: Hydra, args: argparse.Namespace) -> int:
    """Say what a study asks and what it will take, run it, and tell how its arms compare."""
    study, composed, planned = jobs.plan_study(hydra, args.overrides)
    try:
        _inspect(planned)
    except UserError as error:
        if "init.weights=imagenet" in str(error):
            raise UserError(f"{error}; or leave out those arms: pretrained=false") from error
        raise
    waiting = [job for job in planned if not finished(job)]
    announce_study(study, runs=len(planned), waiting=[job.config.epochs for job in waiting])
    if args.dry_run:
        return _list(planned)
    seconds = _expect(waiting)
    if seconds:
        announce_time(sum(seconds.values()))
    worker = Worker(several=True, planned=planned, seconds=seconds)
    with outputs_needed():
        write_plan(
            study, [(job.label, job.config.seed, job.folder) for job in planned], args.overrides
        )
        note(_wanted(planned))
        launch_all(planned, lambda some: jobs.launch(hydra, composed, worker, some))
    show_arms(
        study,
        [(job.label, summary_now(job.folder), read_metrics(job.folder)) for job in planned],
    )
    _report(planned[0].folder.parent)
    return verdict(planned)


def _report(folder: Path) -> None:
    """End a study by writing its report."""
    from etude.report.write import make, write  # noqa: PLC0415 (not needed for --help)

    with outputs_needed():
        write(make([folder]), folder / "report")
    announce_report(folder / "report" / "report.html")


def _list(planned: list[Job]) -> int:
    """Tell where runs stand and what they will still take, one after the other."""
    seconds = _expect([job for job in planned if not finished(job)])
    runs = [standing(*wanted) for wanted in _wanted(planned)]
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

    measure = partial(_measure, waiting)
    seconds = call_apart(measure, preload=["torch", "etude.estimate", "torch._dynamo"])
    return (
        {} if seconds is None else dict(zip((job.folder for job in waiting), seconds, strict=True))
    )


def _measure(waiting: list[Job]) -> list[float]:
    from etude.estimate import seconds_of_each  # noqa: PLC0415 (imports torch)

    return seconds_of_each(waiting)


def _wanted(planned: list[Job]) -> list[tuple[Path, str, int]]:
    return [(job.folder, name(job), job.config.epochs) for job in planned]


def _inspect(planned: list[Job]) -> None:
    from etude.preflight import inspect  # noqa: PLC0415 (not needed for --help or --cfg)

    inspect(planned)


def _log_to_terminal() -> None:
    logger = logging.getLogger("etude")
    logger.setLevel(logging.DEBUG)
    if not logger.handlers:
        handler = Messages(logging.INFO)
        logger.addHandler(handler)
        logger.propagate = False


if __name__ == "__main__":
    sys.exit(main())
