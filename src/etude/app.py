"""The command `etude`: Hydra in, exit code out.

0: done. 1: a run failed. 2: the command was refused, and nothing was started or written.
75: asked to stop by SIGTERM, and saved. 130: likewise by Ctrl-C.

Nothing in here imports torch before a job has passed every check.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

import etude
from etude import jobs
from etude.console import Messages, complain, errors, near, show_summary, show_sweep
from etude.errors import UserError
from etude.explain import explain
from etude.jobs import CONFIG_NAME, Job
from etude.record.folder import Busy, read_summary, remove_if_empty

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    _log_to_terminal()
    given = list(sys.argv[1:] if arguments is None else arguments)
    hydra: Hydra | None = None
    try:
        args = _parser().parse_intermixed_args(given)
        hydra = _hydra(args.config_dir)
        return _dispatch(hydra, args)
    except UserError as error:
        complain(error)
        return 2
    except (HydraException, OmegaConfBaseException) as error:
        complain(explain(error, hydra, given))
        return 2
    except KeyboardInterrupt:
        return 130
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    finally:
        GlobalHydra.instance().clear()


class _Parser(argparse.ArgumentParser):
    """Hydra's options, with errors in one line."""

    def error(self, message: str) -> Any:
        raise UserError(f"{message}; the options are listed by --hydra-help")


def _parser() -> argparse.ArgumentParser:
    parser = get_args_parser()
    parser.__class__ = _Parser
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
    sweep = args.multirun or hydra.get_mode(CONFIG_NAME, args.overrides) == RunMode.MULTIRUN
    mode = RunMode.MULTIRUN if sweep else RunMode.RUN
    planned = jobs.plan(hydra, args.overrides, mode)
    from etude.preflight import inspect  # noqa: PLC0415 (not needed for --help or --cfg)

    inspect(planned)
    overrides = [*args.overrides, f"hydra.mode={mode.name}"]
    worker = Worker(several=sweep)
    try:
        if sweep:
            hydra.multirun(CONFIG_NAME, worker, overrides)
        else:
            hydra.run(CONFIG_NAME, worker, overrides)
    except OSError as error:
        complain(f"{error}; results go below outputs/, or below ETUDE_OUTPUTS")
        return 1
    return _verdict(planned) if sweep else worker.exit_code


def _verdict(planned: list[Job]) -> int:
    """Tell what all jobs came to, from their folders, whichever launcher ran them."""
    rows = [_outcome(job) for job in planned]
    show_sweep(rows)
    unfinished = sum(state != "finished" for _, state, _, _ in rows)
    if unfinished:
        complain(f"{unfinished} of {len(rows)} runs did not finish; the same command goes on")
    return 1 if unfinished else 0


def _outcome(job: Job) -> tuple[str, str, float | None, str]:
    summary = read_summary(job.folder) or {"state": "not started"}
    final = summary.get("final", {})
    remark = summary.get("error", "")
    return job.folder.name, summary["state"], final.get("test_accuracy"), remark


class Worker:
    """What Hydra calls for each job: trains it, and keeps its failure from ending the others.

    Args:
        several: Whether it is one job of a sweep.
    """

    def __init__(self, *, several: bool) -> None:
        self.several = several
        self.exit_code = 0

    def __call__(self, task: DictConfig) -> float | None:
        """Do one job; give its test accuracy, as Hydra's sweepers expect, or None if it failed."""
        hydra = cast("DictConfig", HydraConfig.get())
        folder = Path(hydra.runtime.output_dir)
        if self.several:
            log.info("\nrun %s  %s", hydra.job.num, folder.name)
        try:
            return _work(task, hydra, folder)
        except UserError as error:
            complain(error)
            self.exit_code = 2
        except Busy as error:
            complain(error)
            self.exit_code = 1
        except Exception as error:  # noqa: BLE001 (told in one line, whatever it is)
            _complain_of_failure(error, folder)
            self.exit_code = 1
        finally:
            remove_if_empty(folder)
        return None


def _work(task: DictConfig, hydra: DictConfig, folder: Path) -> float:
    job = jobs.make(task, hydra, folder)
    summary = _finished(job, folder)
    if summary is None:
        from etude.run import run  # noqa: PLC0415 (imports torch)

        texts = jobs.texts(task, hydra)
        summary = run(job.config, folder, texts=texts, arm=job.arm, documented=job.documented)
    return summary["final"]["test_accuracy"]


def _finished(job: Job, folder: Path) -> dict[str, Any] | None:
    """Show a run that is done already, and say what has changed since."""
    summary = read_summary(folder)
    if job.config.fresh or summary is None or summary["state"] != "finished":
        return None
    from etude.record.environment import since  # noqa: PLC0415

    log.info("finished before; fresh=true trains it again")
    for change in since(folder):
        log.warning("since then: %s", change)
    show_summary(summary, folder)
    return summary


def _complain_of_failure(error: Exception, folder: Path) -> None:
    """Tell of an error in one line; those that explain themselves bring notes."""
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        errors.print_exception()
    notes = getattr(error, "__notes__", None)
    if notes:
        complain("; ".join([str(error), *notes]))
    else:
        first_line = str(error).partition("\n")[0]
        complain(f"{type(error).__name__}: {first_line}; traceback: {near(folder / 'run.log')}")


def _log_to_terminal() -> None:
    logger = logging.getLogger("etude")
    logger.setLevel(logging.DEBUG)
    if not logger.handlers:
        handler = Messages(logging.INFO)
        logger.addHandler(handler)
        logger.propagate = False


if __name__ == "__main__":
    sys.exit(main())
