"""The command `etude-predict`: what images show, by a run's network."""

from __future__ import annotations

import argparse
import csv
import glob
import io
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from etude.base.errors import UserError
from etude.base.text import near
from etude.cli import entry
from etude.cli.output import show_csv, show_json
from etude.cli.parser import Words, folder_to_be
from etude.cli.terminal import complain, console
from etude.config.build import import_from
from etude.data.sources.listing import images_below

if TYPE_CHECKING:
    from etude.cli.inference import Prediction

EXAMPLES = """\
examples:
  etude-predict outputs/photos/seed=0-36ca5b90 cat.jpg
  etude-predict RUN photos/ 'more/*.jpg'             folders, with all below them, and patterns
  find . -name '*.png' | etude-predict RUN - --csv   the names on standard input
  etude-predict RUN photos/ --sheet sheet.png        a contact sheet
  etude-predict RUN cat.jpg --explain seen           seen/cat.png: the part that mattered (Grad-CAM)

Nothing but the run's folder is needed: no training data. Where an image's folder has a class's
name, it is said how many are told right.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, 1 if an image was unreadable, 2 if refused."""
    try:
        args = _parser().parse_args(arguments)
        import_from(Path.cwd())
        found, bad = _predicted(args, files_of(args.images))
        _tell(args, found)
        _draw(args, found)
    except UserError as error:
        complain(error)
        return 2
    except OSError as error:
        complain(error)
        return 1
    for problem in bad:
        complain(problem)
    return 1 if bad else 0


def _parser() -> Words:
    parser = Words.of(
        "etude-predict",
        "Say what images show, by a run's network.",
        EXAMPLES,
    )
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="a run's folder")
    add("images", nargs="+", metavar="IMAGE", help="files, folders, patterns, or - for a list")
    add("--weights", choices=("best", "last"), default="best", help="of which epoch (best)")
    add("--top", type=_count, default=3, metavar="N", help="classes that are shown (3)")
    add("--sheet", type=Path, metavar="FILE", help="draw the images with their classes")
    add("--explain", type=folder_to_be, metavar="FOLDER", help="draw what mattered (Grad-CAM)")
    add("--packages", nargs="+", default=(), metavar="NAME", help="your own, for its network")
    forms = parser.add_mutually_exclusive_group()
    forms.add_argument("--json", action="store_true", help="print a line of JSON an image")
    forms.add_argument("--csv", action="store_true", help="print CSV, every class as a column")
    parser.add_completion()
    return parser


def _count(text: str) -> int:
    """Read how many are wanted.

    Raises:
        ArgumentTypeError: It is no number from 1 on.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no number from 1 on")
    return int(text)


def files_of(given: Sequence[str]) -> list[str]:
    """Give the files that words mean: files, folders, patterns, and - for a list.

    Raises:
        UserError: Something named is not there.
    """
    return list(_paths(given))


def _paths(given: Sequence[str]) -> Iterator[str]:
    """Give the files that are meant.

    Raises:
        UserError: Something named is not there.
    """
    for name in given:
        if name == "-":
            given_in = os.fsdecode(sys.stdin.buffer.read())  # names may be in any encoding
            yield from (line for line in given_in.splitlines() if line)
        elif Path(name).is_dir():
            yield from (entry.path for entry in images_below(Path(name)))
        elif Path(name).exists():
            yield name
        elif matches := sorted(glob.glob(name, recursive=True)):  # noqa: PTH207 (as a shell has it)
            yield from (path for path in matches if Path(path).is_file())
        else:
            raise UserError(f"{name}: there is no such file or folder, nor one of that pattern")


def _torch() -> Any:
    """Give what needs PyTorch."""
    from etude.cli import grad_cam  # noqa: PLC0415 (seconds)

    return grad_cam


def _predicted(
    args: argparse.Namespace, paths: Sequence[str]
) -> tuple[list[Prediction], list[str]]:
    """Ask about the files; give what cannot be decoded apart.

    Raises:
        UserError: There is none, or the run's folder lacks something.
    """
    if not paths:
        raise UserError("there is no image among the given files and folders")
    trained = _torch().Trained.of(args.run, args.weights, args.packages)
    found: list[Prediction] = []
    bad: list[str] = []
    try:
        return list(trained.predictions(paths)), []
    except UserError:  # one of many: the others are told all the same
        for path in paths:
            try:
                found += trained.predictions([path])
            except UserError as error:
                bad.append(str(error))
    return found, bad


def _tell(args: argparse.Namespace, found: Sequence[Prediction]) -> None:
    if args.json:
        for each in found:
            show_json(each._asdict(), indent=None)
    elif args.csv:
        show_csv(_as_csv(found))
    elif found:
        console.print(_table(found, args.top))
        known = [each for each in found if Path(each.path).parent.name in each.probabilities]
        if known:
            right = sum(each.label == Path(each.path).parent.name for each in known)
            console.print(
                f"as their folders say: {right} of {len(known)}, {right / len(known):.4f}"
            )


def _as_csv(found: Sequence[Prediction]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    classes = list(found[0].probabilities) if found else []
    writer.writerow(["file", "class", "probability", *classes])
    for each in found:
        writer.writerow([each.path, each.label, each.probability, *each.probabilities.values()])
    return text.getvalue()


def _table(found: Sequence[Prediction], count: int) -> Table:
    table = Table("image", "class", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("probability", justify="right")
    table.add_column("then")
    for each in found:
        (label, probability), *others = each.top(count)
        then = ", ".join(f"{name} {value:.4f}" for name, value in others)
        table.add_row(near(Path(each.path)), label, f"{probability:.4f}", then)
    return table


def _draw(args: argparse.Namespace, found: Sequence[Prediction]) -> None:
    if not found:
        return
    if args.sheet is not None:
        _torch().draw_sheet(args.run, found, args.sheet)
        console.print(f"sheet  {near(args.sheet)}", markup=False, style="dim")
    if args.explain is not None:
        trained = _torch().Trained.of(args.run, args.weights, args.packages)
        _torch().explain(trained, found, args.explain)


if __name__ == "__main__":
    sys.exit(entry.predict())
