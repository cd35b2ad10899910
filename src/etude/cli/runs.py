"""The command `etude-runs`: all runs below a folder, chosen, sorted, and told as one likes."""

import argparse
import csv
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import RenderableType

from etude.base.errors import UserError
from etude.base.places import outputs_folder
from etude.base.text import counted, near
from etude.cli import entry
from etude.cli.fitted import fitted
from etude.cli.output import show_csv, show_json
from etude.cli.parser import Words
from etude.cli.terminal import complain, console
from etude.runs.query import FoundRun, all_runs, choose, ordered

_NARROW = 60  # columns of a terminal in which titles take as many lines as they can
COLUMNS = ("state", "final.test_accuracy", "best.test_accuracy", "seconds")
EXAMPLES = """\
examples:
  etude-runs                                        all runs below outputs/
  etude-runs optimizer=sgd 'test_accuracy>0.98' since=7d
  etude-runs state=failed --paths                   for a script: one folder a line
  etude-runs lenet --sort=-best.test_accuracy --columns optimizer.lr,best.test_accuracy
  etude-runs --csv > runs.csv                       every key as a column

A word is key=value (* stands for anything), key!=value, key<value, key<=value, key>value or
key>=value; since=7d, since=2026-01-31, before=…; any other is sought in the folder's path. A key's
end is enough: lr is optimizer.lr, test_accuracy is final.test_accuracy. What has < or > in it needs
quotes.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, 1 if no run was found, 2 if it was refused."""
    try:
        args = _parser().parse_args(arguments)
        every = all_runs(args.folder)
        runs = choose(every, args.words)
        runs = ordered(runs, args.sort) if args.sort and runs else runs
        _tell(runs, args)
    except UserError as error:
        complain(error)
        return 2
    if not runs:
        complain(_none_of(len(every), args))
    return 0 if runs else 1


def _parser() -> Words:
    parser = Words.of(
        "etude-runs",
        "List runs, those that words choose, as a table, CSV, JSON or paths.",
        EXAMPLES,
    )
    add = parser.add_argument
    add("words", nargs="*", metavar="WORD", help="conditions; all must hold")
    outputs = Path(outputs_folder())
    add("--folder", type=Path, default=outputs, help=f"runs are sought below it ({outputs})")
    add("--sort", metavar="KEY", help="sort by it; -KEY, the largest first, as --sort=-seconds")
    add(
        "--columns", metavar="KEY,…", default=",".join(COLUMNS),
        help=f"of the table ({','.join(COLUMNS)})",
    )  # fmt: skip
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="print JSON, every key of every run")
    forms.add_argument("--csv", action="store_true", help="print CSV, every key as a column")
    forms.add_argument("--paths", action="store_true", help="print the folders, one a line")
    parser.add_completion()
    return parser


def _tell(runs: Sequence[FoundRun], args: argparse.Namespace) -> None:
    if args.json:
        show_json([run.plain() for run in runs])
    elif args.csv:
        show_csv(_as_csv(runs))
    elif args.paths:
        for run in runs:
            console.out(near(run.folder), highlight=False)
    elif runs:
        console.print(_table(runs, args))
        console.print(counted(len(runs), "run"))


def _none_of(count: int, args: argparse.Namespace) -> str:
    """Say that no run is told, and of how many."""
    where = f"in and below {near(args.folder)}"
    if not count:
        return f"there is no run {where}"
    return f"none of {counted(count, 'run')} {where} fits {' '.join(args.words)}"


def _as_csv(runs: Sequence[FoundRun]) -> str:
    rows = [run.plain() for run in runs]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _table(runs: Sequence[FoundRun], args: argparse.Namespace) -> RenderableType:
    columns = [key for key in args.columns.split(",") if key]
    # In several lines, so that the folders' names have room.
    breaks = "._" if console.width < _NARROW else "."
    titles = [f"below {near(args.folder)}", *(_broken(key, breaks) for key in columns)]
    rows = [
        [os.path.relpath(run.folder, args.folder), *(_cell(run.value(key)) for key in columns)]
        for run in runs
    ]
    return fitted(titles, rows, console.width, left={"state"})


def _broken(key: str, breaks: str) -> str:
    for sign in breaks:
        key = key.replace(sign, f"{sign}\n")
    return key


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 10 and value not in {0.0, 1.0} else f"{value:.1f}"
    return "–" if value is None else str(value)


if __name__ == "__main__":
    sys.exit(entry.runs())
