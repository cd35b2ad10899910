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
from pathlib import Path
from typing import Any, cast

from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException

import etude
from etude import jobs
from etude.console import Messages, announce_study, announce_time, complain, show_arms, show_sweep
from etude.errors import UserError
from etude.explain import explain
from etude.jobs import CONFIG_NAME, Job
from etude.record.folder import read_summary
from etude.search import door as searches
from etude.work import (
    Unwritable,
    Worker,
    finished,
    launch_all,
    launcher_needed,
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
        hydra.app_help(config_name=CONFIG_NAME, args_parser=_parser(), args=args)
    elif args.hydra_help:
        hydra.hydra_help(config_name=CONFIG_NAME, args_parser=_parser(), args=args)
    elif args.shell_completion:
        hydra.shell_completion(config_name=CONFIG_NAME, overrides=args.overrides)
    elif args.info:
        hydra.show_info(args.info, config_name=CONFIG_NAME, overrides=args.overrides)
    elif args.cfg:
        jobs.plan(hydra, args.overrides, RunMode.RUN)
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
    _inspect(planned)
    overrides = [*args.overrides, f"hydra.mode={mode.name}"]
    worker = Worker(several=sweep)
    with outputs_needed():
        if not sweep:
            hydra.run(CONFIG_NAME, worker, overrides)
            return worker.exit_code
        with launcher_needed():
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
    if waiting:
        from etude.estimate import seconds_for  # noqa: PLC0415 (imports torch)

        announce_time(seconds_for(waiting))
    worker = Worker(several=True)
    with outputs_needed():
        launch_all(planned, lambda some: jobs.launch(hydra, composed, worker, some))
    show_arms(study, [(job.label, read_summary(job.folder)) for job in planned])
    return verdict(planned)


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
