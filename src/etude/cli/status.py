"""The command `etude-status`: where the runs of a study or a sweep stand, from any terminal.

It reads the runs' folders and nothing else: it starts nothing, writes nothing, and holds nobody up.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Group
from rich.live import Live
from rich.text import Text

from etude.base.duration import duration
from etude.cli import entry
from etude.cli.run_tables import count_runs, runs_table
from etude.cli.terminal import complain, console
from etude.runs.status import RunStatus, listed, seconds_left

EVERY = 2.0  # seconds between two looks


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, or 2 if there is nothing to show."""
    args = _parser().parse_args(arguments)
    runs = listed(args.folder)
    if not runs:
        complain(f"{args.folder} has no runs; give a study's folder, such as outputs/<study>")
        return 2
    if args.json:
        console.out(json.dumps([run.plain() for run in runs], indent=2), highlight=False)
    elif args.watch:
        _watch(args.folder)
    else:
        console.print(_page(runs))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="etude-status",
        description="Show where the runs of a study or a sweep stand.",
        allow_abbrev=False,
    )
    parser.add_argument("folder", type=Path, help="of a study, a sweep or a run, below outputs/")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--watch", action="store_true", help=f"look again every {EVERY:g} s until all runs are over"
    )
    return parser


def _watch(folder: Path) -> None:
    runs = listed(folder)
    with Live(_page(runs), console=console, auto_refresh=False) as live:
        try:
            while not all(run.state.over for run in runs):
                time.sleep(EVERY)
                runs = listed(folder)
                live.update(_page(runs), refresh=True)
        except KeyboardInterrupt:
            pass


def _page(runs: Sequence[RunStatus]) -> Group:
    left = seconds_left(runs)
    expected = f"; about {duration(left)} left" if left else ""
    table = runs_table(runs, [run.seconds_left for run in runs])
    return Group(table, Text(count_runs(runs, expected)))


if __name__ == "__main__":
    sys.exit(entry.status())
