"""Where runs stand, as a table that a terminal of 80 columns holds."""

import shlex
from collections import Counter
from collections.abc import Sequence

from rich.console import RenderableType

from etude.base.duration import duration
from etude.base.text import counted, near
from etude.cli.fitted import fitted
from etude.cli.terminal import console, number
from etude.report.narrow import wrapped
from etude.runs.status import RunStatus


def show_runs(runs: Sequence[RunStatus], lefts: Sequence[float | None]) -> None:
    """Print where runs stand, and the seconds that each will still take, None if unknown."""
    console.print(runs_table(runs, lefts))
    console.print(count_runs(runs, _in_a_row(lefts)), markup=False)


def show_sweep(runs: Sequence[RunStatus]) -> None:
    """Print what became of runs, and why some of them did not finish."""
    console.print(runs_table(runs))
    for run in runs:
        if run.error:
            error = run.error.removeprefix("Diverged: ")
            console.print(f"{run.state} {run.name}: {error}", markup=False)


def runs_table(
    runs: Sequence[RunStatus], lefts: Sequence[float | None] | None = None
) -> RenderableType:
    """Make a table of runs: state, epoch, accuracy, and the expected time if that is given.

    A name that is too long goes on in the next line, or stands above, so that no number is cut;
    that of a run by itself stands below.
    """
    heading = ["run", "state", "epoch", "accuracy"]
    rows = [[run.name, str(run.state), _epoch(run), number(run.accuracy)] for run in runs]
    if lefts is not None:
        heading.append("left")
        times = [duration(left) if left else "–" for left in lefts]
        rows = [[*row, time] for row, time in zip(rows, times, strict=True)]
    first = int(_is_alone(runs))
    return fitted(heading[first:], [row[first:] for row in rows], console.width, left={"state"})


def count_runs(runs: Sequence[RunStatus], more: str = "") -> str:
    """Count runs by their state, in words, and name the folder of a run by itself.

    Args:
        runs: All of them.
        more: To be said after their states.
    """
    counts = Counter(run.state for run in runs)
    text = f"{counted(len(runs), 'run')}: " + ", ".join(
        f"{n:,} {state}" for state, n in counts.items()
    )
    where = f"\nfolder  {shlex.quote(near(runs[0].folder))}" if _is_alone(runs) else ""
    return f"{wrapped(text + more, console)}{where}"


def _is_alone(runs: Sequence[RunStatus]) -> bool:
    """Whether there is one run, which nothing is to be told from."""
    return len(runs) == 1 and not runs[0].label


def _epoch(run: RunStatus) -> str:
    return f"{run.epoch}/{run.epochs or '?'}"


def _in_a_row(lefts: Sequence[float | None]) -> str:
    total = sum(left for left in lefts if left is not None)
    return f"; about {duration(total)} one after the other" if total else ""
