"""The command `etude-check`: runs held against the ledger and the documents; and new records."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table

from etude.base.errors import UserError
from etude.base.places import shipped_ledger
from etude.cli import entry
from etude.cli.output import show_json
from etude.cli.parser import Words, folder_to_be
from etude.cli.terminal import complain, console, near
from etude.report import ledger
from etude.report.held import Held, Unheld, hold, unheld
from etude.report.references import DocumentFigure
from etude.report.write import Report, make

EXAMPLES = """\
examples:
  etude-check outputs/lenet5_mnist/seed=0-f64efadb     a run
  etude-check outputs/initialization_medium            a study
  etude-check --record ledger outputs/lenet5_mnist     make its record, or make it anew
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0 if all agrees, 1 if not, 2 if it was refused."""
    try:
        args = _parser().parse_args(arguments)
        report = make([args.folder])
        if args.record is not None:
            path = ledger.write_record(args.record, ledger.record(report))
            console.print(f"record  {near(path)}", markup=False)
            return 0
        found = _found(report, args.ledger or shipped_ledger(), args.folder)
    except UserError as error:
        complain(error)
        return 2
    except OSError as error:
        complain(f"{error}; --record names a folder that can be written to")
        return 2
    if args.json:
        show_json(found.plain())
    else:
        _show(found)
    return 0 if found.agrees else 1


class _Found(NamedTuple):
    """An experiment or a study beside its record, and beside its document's figures."""

    name: str
    held: Sequence[Held]
    unheld: Sequence[Unheld]
    judged: Sequence[DocumentFigure]

    @property
    def agrees(self) -> bool:
        """Whether nothing differs."""
        figures = all(figure.agreeing == figure.judged for figure in self.judged)
        arms = all(arm.agrees for arm in self.held) and not any(a.differs for a in self.unheld)
        return figures and arms

    def plain(self) -> dict[str, object]:
        """Give it as JSON has it."""
        arms = [{**arm._asdict(), "agrees": arm.agrees} for arm in self.held]
        return {"agrees": self.agrees, "arms": arms, "others": [a._asdict() for a in self.unheld]}


def _found(report: Report, place: Path, folder: Path) -> _Found:
    """Hold a report's runs against a ledger.

    Raises:
        UserError: They are of several experiments, or nothing is known of theirs.
    """
    if len(names := report.results.names) > 1:
        raise UserError(f"{folder} has runs of {', '.join(names)}; give the folder of one")
    name, judged = names[0], [figure for figure in report.figures if figure.judged]
    made = ledger.find_record(place, name)
    if made is None:
        if not judged:
            raise ledger.no_record(place, name)
        return _Found(name, (), (), judged)
    held = list(hold(report.results, made))
    return _Found(name, held, list(unheld(report.results, made)), judged)


def _parser() -> Words:
    parser = Words.of(
        "etude-check",
        "Hold runs against the ledger's record and the document's figures.",
        EXAMPLES,
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="RUN_OR_FOLDER", help="of one experiment or study")
    add("--ledger", type=Path, metavar="FOLDER", help="the records (those that come with Étude)")
    add("--record", type=folder_to_be, metavar="FOLDER", help="make a record, into this ledger")
    add("--json", action="store_true", help="print JSON instead of tables")
    return parser


def _show(found: _Found) -> None:
    if found.held:
        titles = ("arm", "here", "ledger", "apart", "allowed", "agrees")
        title = f"{found.name} beside its record"
        table = Table(*titles, title=title, box=SIMPLE_HEAD, pad_edge=False)
        for one in found.held:
            numbers = (f"{n:.4f}" for n in (one.ours, one.record, one.apart, one.allowed))
            table.add_row(one.arm, *numbers, "yes" if one.agrees else "NO")
        console.print(table)
    for arm in found.unheld:
        console.print(f"{arm.arm}: {arm.why}{': NO' if arm.differs else ''}", markup=False)
    for figure in found.judged:
        console.print(
            f"{figure.arm}: {figure.metric} {figure.verdict} ({figure.rule})", markup=False
        )
    console.print(f"{found.name}: {'agrees' if found.agrees else 'differs'}", markup=False)


if __name__ == "__main__":
    sys.exit(entry.check())
