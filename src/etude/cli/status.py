"""The command `etude-status`: where the runs of a study or a sweep stand, from any terminal.

It reads the runs' folders and nothing else: it starts nothing, writes nothing, and holds nobody up.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Group
from rich.live import Live
from rich.text import Text

from etude.base.duration import duration
from etude.base.errors import UserError
from etude.base.places import outputs_folder
from etude.base.text import near
from etude.cli import entry
from etude.cli.output import show_json
from etude.cli.parser import Words
from etude.cli.run_tables import count_runs, runs_table
from etude.cli.terminal import complain, console
from etude.runs.status import RunStatus, listed, listed_below, seconds_left

_SHOWN = 30  # runs of several studies and sweeps; of one, all are
EVERY = 2.0  # seconds between two looks


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, or 2 if there is nothing to show."""
    try:
        args = _parser().parse_args(arguments)
    except UserError as error:
        complain(error)
        return 2
    runs = _runs(args.folder)
    if not runs:
        complain(_none_in(args.folder))
        return 2
    if args.json:
        show_json([run.plain() for run in runs])
    elif args.watch:
        _watch(args.folder)
    else:
        console.print(_page(runs))
    return 0


def _runs(folder: Path) -> list[RunStatus]:
    """Give the runs of a study, a sweep or a run; of a folder of many the newest first."""
    if folder == Path(outputs_folder()):
        return listed_below(folder)
    return listed(folder) or listed_below(folder)


def _none_in(folder: Path) -> str:
    if not folder.exists():
        return f"there is no folder {near(folder)}, and so no run; etude makes one"
    return f"{near(folder)} has no runs in or below it; give another folder, or begin with etude"


def _parser() -> Words:
    parser = Words(
        prog="etude-status",
        description="Show where the runs of a study or a sweep stand, or all, the newest first.",
        allow_abbrev=False,
    )
    outputs = Path(outputs_folder())
    parser.add_argument(
        "folder", nargs="?", type=Path, default=outputs,
        help=f"of a study, a sweep or a run, or of all ({outputs})",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--watch", action="store_true", help=f"look again every {EVERY:g} s until all runs are over"
    )
    return parser


def _watch(folder: Path) -> None:
    runs = _runs(folder)
    with Live(_page(runs), console=console, auto_refresh=False) as live:
        try:
            while not all(run.state.over for run in runs):
                time.sleep(EVERY)
                runs = _runs(folder)
                live.update(_page(runs), refresh=True)
        except KeyboardInterrupt:
            pass


def _page(runs: Sequence[RunStatus]) -> Group:
    left = seconds_left(runs)
    expected = f"; about {duration(left)} left" if left else ""
    one_folder = len({run.folder.parent for run in runs}) == 1
    shown = runs if one_folder else runs[:_SHOWN]
    table = runs_table(shown, [run.seconds_left for run in shown])
    lines = [count_runs(runs, expected)]
    if len(shown) < len(runs):
        lines.append(f"{len(runs) - len(shown)} older are not shown; etude-runs lists all")
    return Group(table, Text("\n".join(lines)))


if __name__ == "__main__":
    sys.exit(entry.status())
