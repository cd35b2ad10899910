"""The command `etude-report`: which arm is better, by how much, and how sure that is.

It reads run folders and nothing else, whichever launcher made them and however far they got.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from etude.base.errors import UserError
from etude.cli import entry
from etude.cli.credit import credit
from etude.cli.parser import Words, folder_to_be
from etude.cli.terminal import complain, console, near
from etude.report.bundle.write import BUNDLE
from etude.report.results import METRIC
from etude.report.table import show
from etude.report.write import FORMATS, Report, make, write

EXAMPLES = """\
examples:
  etude-report outputs/initialization_small                 a study
  etude-report outputs/lenet5_digits --baseline lr=0.001    a sweep, held against one of its arms
  etude-report outputs/a outputs/b --metric best.test_accuracy
  etude-report outputs/a --group-by optimizer               arms by one setting alone
  etude-report outputs/a --where optimizer=sgd --where seed!=7
  etude-report outputs/a --delta 0.005                      within half a point is equivalent
  etude-report outputs/a --format csv,md                    some of the files; none: the terminal's
  etude-report outputs/a --format bundle                    what a reviewer asks for
  etude-report outputs/a --watch                            again while its runs go on
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, 1 if it cannot write, 2 if it was refused."""
    try:
        args = _parser().parse_args(arguments)
        formats = _formats(args.format)
        if args.watch is not None:
            return _watch(args, formats)
        _report(args, formats)
    except UserError as error:
        complain(error)
        return 2
    except OSError as error:
        complain(f"{error}; --output names a folder that can be written to")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> Words:
    parser = Words.of(
        "etude-report",
        "Compare the arms of a study or a sweep: table, figures, and a page.",
        EXAMPLES,
    )
    add = parser.add_argument
    add("folders", nargs="+", type=Path, metavar="FOLDER", help="runs are sought in and below it")
    add("--baseline", metavar="ARM", help="the arm to compare with (the study's, or the best)")
    add(
        "--delta", type=float, metavar="D",
        help="the largest difference that does not matter: 0.005 is half a point (the study's)",
    )  # fmt: skip
    add("--metric", help=f"what to compare (the study's, or {METRIC}); seconds, final.test_loss …")
    add("--group-by", default="", metavar="KEY,…", help="hyperparameters that make an arm (all)")
    add(
        "--where", action="append", default=[], metavar="KEY=VALUE",
        help="only runs with it; KEY=A,B and KEY!=A too; can be given again",
    )  # fmt: skip
    add("--format", metavar="FORM,…", default=",".join(FORMATS), help=f"of {', '.join(FORMATS)}")
    add("--tensorboard", action="store_true", help="write each arm's mean and band for TensorBoard")
    add("--output", type=folder_to_be, metavar="FOLDER", help="for the files (<FOLDER>/report)")
    add(
        "--watch", nargs="?", type=int, const=30, metavar="SECONDS",
        help="report again every so often (30), until no run is going on",
    )  # fmt: skip
    return parser


def _formats(words: str) -> list[str]:
    wanted = [word for word in words.split(",") if word and word != "none"]
    unknown = [word for word in wanted if word not in FORMATS]
    if unknown:
        raise UserError(f"--format {unknown[0]} is none of {', '.join(FORMATS)}, or none")
    return wanted


def _report(args: argparse.Namespace, formats: Sequence[str], refresh: int | None = None) -> Report:
    report = make(
        args.folders,
        metric=args.metric,
        baseline=args.baseline,
        margin=args.delta,
        group_by=[key for key in args.group_by.split(",") if key],
        conditions=args.where,
    )
    folder = args.output or _folder(args.folders)
    # The files first: a reader that has seen enough, as `head`, ends the command.
    if formats:
        write(report, folder, formats, refresh=refresh, credit=credit())
    if args.tensorboard:
        from etude.report.tensorboard import write_averages  # noqa: PLC0415 (takes its time)

        write_averages(report.results, folder / "tensorboard")
    show(console, report.results, report.sentences, report.figures)
    if args.tensorboard:
        console.print(f"averages  tensorboard --logdir {near(folder / 'tensorboard')}")
    if formats:
        console.print(f"report  {near(folder / 'report.html' if 'html' in formats else folder)}")
        if BUNDLE in formats:
            console.print(f"bundle  {near(folder / BUNDLE)}")
    return report


def _folder(folders: Sequence[Path]) -> Path:
    """Put the report beside the runs that it is about."""
    return Path(os.path.commonpath([folder.absolute() for folder in folders])) / "report"


def _watch(args: argparse.Namespace, formats: Sequence[str]) -> int:
    """Report again and again, as long as something may still change by itself."""
    if args.watch < 1:
        raise UserError(f"--watch {args.watch} must be a number of seconds above 0")
    while True:
        console.clear()
        report = _report(args, [f for f in formats if f != BUNDLE], refresh=args.watch)
        if all(run.state.over for run in report.results.runs):
            _report(args, formats)  # the page need not be loaded again any more
            return 0
        time.sleep(args.watch)


if __name__ == "__main__":
    sys.exit(entry.report())
