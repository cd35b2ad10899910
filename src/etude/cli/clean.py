"""The command `etude-clean`: lists what nobody needs any more, and removes it if told to."""

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.table import Table

from etude.base.errors import UserError
from etude.base.places import outputs_folder
from etude.base.text import counted, near
from etude.cli import entry
from etude.cli.output import show_json
from etude.cli.parser import Words
from etude.cli.terminal import complain, console, tell
from etude.runs.leftovers import KINDS, Leftover, leftovers, remove

EPILOG = """\
It lists: runs that fresh=true moved aside (aside); the checkpoints of finished runs (checkpoint),
last.ckpt; and decoded images in the cache (cache), which the next run makes again. A finished run
without its last.ckpt keeps its results and its best weights (best.safetensors), but a run of more
epochs begins anew in place of going on from it, and the last epoch's weights (--weights last) are
lost. No run that is going on, or can go on to its own end, is touched.
"""
_LOST = (
    "without last.ckpt a finished run keeps its results and best.safetensors, but a run of more "
    "epochs begins anew in place of going on from it, and --weights last has nothing to show"
)
_MIB = 2**20


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, 1 if something stayed, 2 if it was refused."""
    try:
        args = _parser().parse_args(arguments)
        found = leftovers(args.folder, args.only or KINDS)
    except UserError as error:
        complain(error)
        return 2
    failed = {left: problem for left in found if args.yes and (problem := _removed(left))}
    if args.json:
        plain = [
            {**left._asdict(), "path": str(left.path), "removed": args.yes and left not in failed}
            for left in found
        ]
        show_json(plain)
    elif args.yes:
        _show_removed([left for left in found if left not in failed], len(failed))
    else:
        _show(found)
    for problem in failed.values():
        complain(problem)
    return 1 if failed else 0


def _parser() -> Words:
    parser = Words.of(
        "etude-clean",
        "List what nobody needs any more below a folder of runs; --yes removes it.",
        EPILOG,
    )
    outputs = Path(outputs_folder())
    add = parser.add_argument
    add("folder", nargs="?", type=Path, default=outputs, help=f"of runs ({outputs})")
    add("--only", action="append", choices=KINDS, help="a kind; can be given again (all kinds)")
    add("--yes", action="store_true", help="remove what is listed")
    add("--json", action="store_true", help="print JSON instead of a table")
    parser.add_completion()
    return parser


def _removed(left: Leftover) -> str:
    """Remove something; say why not, where that fails."""
    try:
        remove(left)
    except OSError as error:
        return f"{left.path} stays: {error.strerror}"
    return ""


def _show(found: Sequence[Leftover]) -> None:
    _list(found)
    if any(left.kind == "checkpoint" for left in found):
        tell(_LOST)
    if found:
        them = "it" if len(found) == 1 else "them"
        console.print(f"{_total(found)}; add --yes to remove {them}")


def _show_removed(gone: Sequence[Leftover], stayed: int) -> None:
    if gone or not stayed:
        _list(gone)
    if gone:
        console.print(f"{_total(gone)}, removed")


def _total(found: Sequence[Leftover]) -> str:
    return f"{sum(left.size for left in found) / _MIB:,.1f} MiB in {counted(len(found), 'place')}"


def _list(found: Sequence[Leftover]) -> None:
    if not found:
        console.print("nothing to remove")
        return
    table = Table("kind", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("path", overflow="fold")
    table.add_column("MiB", justify="right")
    for left in found:
        table.add_row(left.kind, near(left.path), f"{left.size / _MIB:,.1f}")
    console.print(table)


if __name__ == "__main__":
    sys.exit(entry.clean())
