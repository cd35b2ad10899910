"""The command `etude-compare`: what differs between runs, side by side."""

import sys
from collections.abc import Sequence
from pathlib import Path

from etude.base.errors import UserError
from etude.base.text import fold
from etude.cli import entry
from etude.cli.output import show_json
from etude.cli.parser import Words
from etude.cli.terminal import complain, console, near
from etude.report.contrast import Line, contrast
from etude.report.narrow import Shown, has_width, in_tables
from etude.report.read import RunFolder, read_run
from etude.runs.names import SUMMARY

_LONGEST = 24  # characters of a name above a column


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, or 2 if it was refused."""
    try:
        args = _parser().parse_args(arguments)
        runs = _runs(args.runs)
        found = contrast(runs, everything=args.all)
    except UserError as error:
        complain(error)
        return 2
    if args.json:
        folders = [str(run.folder) for run in runs]
        plain = {"runs": folders, **{part: dict(lines) for part, lines in found.items()}}
        show_json(plain)
    else:
        _show(runs, found)
    return 0


def _parser() -> Words:
    parser = Words(
        prog="etude-compare",
        description="Show what differs between runs: configuration, environment, results.",
        allow_abbrev=False,
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run's folder")
    parser.add_argument("--all", action="store_true", help="show what is the same as well")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    return parser


def _runs(paths: Sequence[Path]) -> list[RunFolder]:
    if len(paths) < 2:
        raise UserError("one run cannot be compared; give two or more")
    return [_run(path) for path in paths]


def _run(path: Path) -> RunFolder:
    run = read_run(path)
    if run.summary:
        return run
    below = sorted(path.glob(f"*/{SUMMARY}"))
    hint = f"; a run below it is {near(below[0].parent)}" if below else ""
    raise UserError(f"{path} is no run's folder: it has no {SUMMARY} that can be read{hint}")


def _show(runs: Sequence[RunFolder], found: dict[str, list[Line]]) -> None:
    names = _short_names(runs)
    for part, lines in found.items():
        if not lines:
            console.print(f"{part}: no difference")
            continue
        keys, sides = zip(*lines, strict=True)
        bold = [part == "results" and len(set(words)) > 1 for words in sides]
        sided = zip(names, zip(*sides, strict=True), strict=True)
        columns = [Shown(name, own, left=True, wraps=True) for name, own in sided]
        first = Shown(part, keys, left=True)
        for table in in_tables(first, columns, console.width, ["bold" if b else "" for b in bold]):
            console.print(table)


def _short_names(runs: Sequence[RunFolder]) -> list[str]:
    """Number runs whose names are too long for the columns of a table, and say which is which."""
    names = _names(runs)
    if max(map(len, names)) <= _LONGEST:
        return names
    for number, name in enumerate(names, 1):
        shown = fold(name, console.width - 4) if has_width(console) else name
        console.print(f"{number:<2}  {shown}".replace("\n", "\n    "), markup=False)
    return [str(number) for number in range(1, len(names) + 1)]


def _names(runs: Sequence[RunFolder]) -> list[str]:
    """Name runs by their folders, with the one above where two are called the same."""
    names = [run.folder.name for run in runs]
    if len(set(names)) == len(names):
        return names
    return [f"{run.folder.parent.name}/{run.folder.name}" for run in runs]


if __name__ == "__main__":
    sys.exit(entry.compare())
