"""The command `etude-check`: runs held against the ledger and the documents; and new records."""

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from etude.base.errors import UserError
from etude.base.places import shipped_ledger
from etude.cli import entry
from etude.cli.output import show_json
from etude.cli.parser import Words, folder_to_be
from etude.cli.terminal import complain, console, near
from etude.report import ledger
from etude.report.ledger import Held
from etude.report.references import DocumentFigure
from etude.report.write import make

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
        name = report.results.runs[0].name
        records = ledger.read_records(args.ledger or shipped_ledger())
        judged = [figure for figure in report.figures if figure.judged]
        found = None if judged and name not in records else ledger.record_of(records, name)
        held = [] if found is None else list(ledger.hold(report.results, found))
    except UserError as error:
        complain(error)
        return 2
    agrees = all(h.agrees for h in held) and all(f.agreeing == f.judged for f in judged)
    if args.json:
        plain = {"agrees": agrees, "arms": [{**h._asdict(), "agrees": h.agrees} for h in held]}
        show_json(plain)
    else:
        _show(name, held, judged, agrees=agrees)
    return 0 if agrees else 1


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


def _show(
    name: str, held: Sequence[Held], judged: Sequence[DocumentFigure], *, agrees: bool
) -> None:
    if held:
        titles = ("arm", "here", "ledger", "apart", "allowed", "agrees")
        table = Table(*titles, title=f"{name} beside its record", box=SIMPLE_HEAD, pad_edge=False)
        for one in held:
            numbers = (f"{n:.4f}" for n in (one.ours, one.record, one.apart, one.allowed))
            table.add_row(one.arm, *numbers, "yes" if one.agrees else "NO")
        console.print(table)
    for figure in judged:
        console.print(
            f"{figure.arm}: {figure.metric} {figure.verdict} ({figure.rule})", markup=False
        )
    console.print(f"{name}: {'agrees' if agrees else 'differs'}", markup=False)


if __name__ == "__main__":
    sys.exit(entry.check())
