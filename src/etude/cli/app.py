"""The command `etude`: Hydra in, exit code out.

0: done. 1: a run failed. 2: the command was refused, and nothing was started or written.
75: asked to stop by SIGTERM, and saved. 130: likewise by Ctrl-C.

Nothing in here imports torch before a job has passed every check.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import etude
from etude.base import startup
from etude.base.errors import UserError
from etude.base.threads import bound_spinning
from etude.cli import completion, entry
from etude.cli import hydra_door as door
from etude.cli.compose import Composer
from etude.cli.hydra_door import CONFIG_NAME, Hydra
from etude.cli.job import ComposedJob
from etude.cli.outcomes import Unwritable
from etude.cli.parser import Parser, unread_help
from etude.cli.queue import detach
from etude.cli.refusals import REFUSALS, explain, meant
from etude.cli.study_jobs import refuse_study
from etude.cli.terminal import Messages, complain, remark
from etude.config.build import import_from
from etude.launch.stopping import leaving


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return _answer(_parser(), _dispatch, arguments)


def main_of_one_job(
    parser: argparse.ArgumentParser,
    do: Callable[[ComposedJob, argparse.Namespace], int],
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
        refuse_study(args.overrides)
        (job,) = composer.run(args.overrides).jobs
        return do(job, args)

    return _answer(parser, dispatch, arguments)


def _answer(
    parser: argparse.ArgumentParser,
    dispatch: Callable[[Composer, argparse.Namespace], int],
    arguments: Sequence[str] | None,
) -> int:
    """Do what the words ask for, and tell in one line why not."""
    bound_spinning()
    startup.begin()
    startup.mark("Python and Hydra")
    _log_to_terminal()
    given = list(sys.argv[1:] if arguments is None else arguments)
    hydra: Hydra | None = None
    try:
        args = parser.parse_intermixed_args(given)
        args.overrides = meant(args.overrides)
        own = _own_files(args.config_dir)
        import_from(Path.cwd(), *([] if own is None else [own]))
        loader = door.make_loader(own)
        hydra = door.make_hydra(loader)
        return dispatch(Composer(loader), args)
    except Unwritable as error:
        complain(error)
        return 1
    except REFUSALS as error:
        complain(explain(error, hydra, given))
        return 2
    except KeyboardInterrupt:
        if startup.nothing_begun():
            complain(startup.UNBEGUN)
        return 130
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    finally:
        door.close()


class _HydraParser(Parser):
    listed_by = "--hydra-help"


_A_QUEUE_OF_ITS_OWN = ".SlurmLauncher"

# Options of Hydra's that name nothing here, by what to do instead.
_REFUSED = {
    "config_name": "there is one configuration; choose a recipe with experiment=<name>",
    "config_path": "add a folder of your own with --config-dir <folder>",
    "experimental_rerun": "etude-rerun <folder> does a run again; its own command goes on with it: "
    "the words are in .hydra/overrides.yaml",
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
    parser.add_argument(
        "--detach",
        action="store_true",
        help="Leave the runs to SLURM's queue, or the command to this machine's, which etude-queue "
        "shows, and return",
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


def _inform(composer: Composer, args: argparse.Namespace) -> None:
    """Let Hydra tell of itself, also where the words do not compose."""
    try:
        door.hydra_now().show_info(args.info, config_name=CONFIG_NAME, overrides=args.overrides)
    except ValueError as error:  # of a choice that is no text; to compose it tells which
        composer.run(args.overrides)
        raise UserError(str(error)) from error


def _complete(hydra: Hydra, subcommand: Sequence[str]) -> None:
    """Print what Tab offers, or what makes a shell ask for it."""
    if line := os.environ.get("COMP_LINE"):
        parser = _parser()
        options = completion.offered(line, parser, _REFUSED)
        if options is not None:
            return print("\n".join(options))  # noqa: T201 (for a shell: no terminal's colours)
        os.environ["COMP_LINE"] = completion.for_hydra(line, parser)
    with unread_help():  # it makes a parser of its own
        hydra.shell_completion(config_name=CONFIG_NAME, overrides=list(subcommand))
    return None


def _dispatch(composer: Composer, args: argparse.Namespace) -> int:
    hydra = door.hydra_now()
    if args.help:
        hydra.app_help(config_name=CONFIG_NAME, args_parser=_parser(), args=args)
    elif args.hydra_help:
        hydra.hydra_help(config_name=CONFIG_NAME, args_parser=_parser(), args=args)
    elif args.shell_completion:
        _complete(hydra, args.overrides)
    elif args.info:
        _inform(composer, args)
    elif args.cfg:
        if args.multirun:
            raise UserError(
                "--cfg shows one job's configuration; leave out -m, or list the jobs by --dry-run"
            )
        remark(*composer.run(args.overrides).remarks)  # checked before it is shown
        hydra.show_cfg(
            config_name=CONFIG_NAME,
            overrides=args.overrides,
            cfg_type=args.cfg,
            package=args.package,
            resolve=args.resolve,
        )
    else:
        from etude.cli.start import start  # noqa: PLC0415 (not for --help or --cfg)

        # What is left to a queue is checked and listed first, as it would be on the spot.
        listed = args.dry_run or args.detach
        code = start(composer, args.overrides, multirun=args.multirun, dry_run=listed)
        if args.detach and not args.dry_run and code == 0:
            if composer.launcher.endswith(_A_QUEUE_OF_ITS_OWN):
                with leaving():
                    return start(composer, args.overrides, multirun=args.multirun, dry_run=False)
            return detach(_again(args))
        return code
    return 0


def _again(args: argparse.Namespace) -> list[str]:
    """Write a command's words once more, for a process of its own."""
    own = [] if args.config_dir is None else [f"--config-dir={Path(args.config_dir).absolute()}"]
    return [*own, *(["-m"] if args.multirun else []), *args.overrides]


def _log_to_terminal() -> None:
    logger = logging.getLogger("etude")
    logger.setLevel(logging.DEBUG)
    if not logger.handlers:
        handler = Messages(logging.INFO)
        logger.addHandler(handler)
        logger.propagate = False


if __name__ == "__main__":
    sys.exit(entry.etude())
