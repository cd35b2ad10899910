"""The command `etude-rerun`: does again what a run's folder holds, and says what differs today."""

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from etude.base.errors import UserError
from etude.base.places import outputs_folder
from etude.base.text import near
from etude.cli import entry
from etude.cli.again import Again, carry_out, plan
from etude.cli.from_folder import Given
from etude.cli.job import ComposedJob
from etude.cli.outcomes import Unwritable
from etude.cli.output import show_json
from etude.cli.parser import Words, folder_to_be
from etude.cli.python import telling
from etude.cli.run_job import complain_of_failure
from etude.cli.same_bits import apart
from etude.cli.terminal import complain, console, show_summary
from etude.runs.claim import Busy, remove_if_empty
from etude.runs.names import BEST
from etude.runs.state import RunState
from etude.runs.status import status

EXAMPLES = """\
examples:
  etude-rerun outputs/lenet5_digits/seed=0-36ca5b90 --dry-run     what is different today
  etude-rerun RUN --outputs again             do it again, beside the first
  etude-rerun RUN --outputs again --exact     and end with 1 where it comes to other bits
  etude-rerun RUN --data photos               a copy from another machine; images lie here
  etude-rerun RUN --packages mynets           its network is of a package of yours
  etude-rerun RUN --outputs again --json | jq .same_bits

All that is done again is read from the folder: config.yaml, summary.json, environment.json. What
was left to the machine is as it was: precision, compiled or not, the CPU for a run on a CPU, and
its threads. The new run is one of its own below the output folder; the one given is only read.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, 1 if the run failed or differs, 2 if refused."""
    try:
        args = _parser().parse_args(arguments)
        again = plan(args.run, _given(args))
    except UserError as error:
        complain(error)
        return 2
    if args.json:
        told, code = _quietly(again, dry_run=args.dry_run, exact=args.exact)
        show_json(told)
        return code
    _show(again)
    for problem in again.problems:
        complain(problem)
    if again.problems or again.job is None:
        return 2
    return 0 if args.dry_run else _do(again, again.job, exact=args.exact)


def _parser() -> Words:
    parser = Words.of(
        "etude-rerun",
        "Do again what a run's folder holds; say first what is different today.",
        EXAMPLES,
    )
    outputs = Path(outputs_folder())
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="its folder, from this machine or another")
    add("--dry-run", action="store_true", help="only say what is different today")
    add(
        "--outputs",
        type=folder_to_be,
        default=outputs,
        help=f"the new run is put below it ({outputs})",
    )
    add("--data", type=Path, metavar="FOLDER", help="where its images are on this machine")
    add("--weights", type=Path, metavar="PATH", help="where what it begins with is, likewise")
    add("--device", help="auto, cpu, cuda or cuda:<number> (a CPU's run: cpu, others: auto)")
    add("--packages", nargs="+", default=(), metavar="NAME", help="your own that it may import")
    add("--config-dir", type=Path, metavar="FOLDER", help="packages are sought there as well")
    add("--anyway", action="store_true", help="also where data or code make it another run")
    add("--exact", action="store_true", help="end with 1 where the results are other bits")
    add("--json", action="store_true", help="print JSON instead")
    parser.add_completion()
    return parser


def _given(args: argparse.Namespace) -> Given:
    if args.config_dir is not None and not args.config_dir.is_dir():
        raise UserError(f"--config-dir {args.config_dir} is no folder")
    return Given(
        outputs=args.outputs,
        data=args.data,
        weights=args.weights,
        device=args.device,
        packages=tuple(args.packages),
        config_dir=args.config_dir,
        anyway=args.anyway,
    )


def _show(again: Again) -> None:
    """Say what is different today, and where the run will be."""
    if again.changed:
        table = Table("different today", "then", "now", box=SIMPLE_HEAD, pad_edge=False)
        for change in again.changed:
            table.add_row(*map(escape, change))
        console.print(table)
    else:
        console.print("as they were: code, versions, machine")
    for line in again.way_back:
        console.print(f"as it was    {line}", markup=False)
    if again.job is not None:
        folder, state = again.job.folder, status(again.job.folder).state
        kind = "new folder" if state is RunState.NOT_STARTED else "its folder"
        console.print(f"{kind}   {shlex.quote(near(folder))} ({state})", markup=False)


def _do(again: Again, job: ComposedJob, *, exact: bool) -> int:
    with telling(quiet=False):
        code, summary = _attempted(again, job, quiet=False)
    if summary is None:
        return code
    show_summary(summary, job.folder)
    unlike = _compare(again.source, job.folder)
    return int(exact and bool(unlike))


def _compare(source: Path, folder: Path) -> list[str] | None:
    """Print whether the results are the same; give where they are not."""
    unlike = _apart(source, folder)
    if unlike is not None:
        epochs_alone = "" if (source / BEST).exists() else ", epoch by epoch: it has no weights"
        first = f"{'not ' if unlike else ''}the same bits as {near(source)}{epochs_alone}"
        console.print("; ".join([first, *unlike]), markup=False)
    return unlike


def _apart(source: Path, folder: Path) -> list[str] | None:
    """Say where the results of two runs are apart; None if they are one and the same run."""
    return None if folder.samefile(source) else list(apart(source, folder))


def _attempted(
    again: Again, job: ComposedJob, *, quiet: bool
) -> tuple[int, Mapping[str, Any] | None]:
    """Do it; tell in a line why not, where that fails."""
    try:
        return 0, carry_out(again, job, quiet=quiet)
    except UserError as error:
        complain(error)
        return 2, None
    except (Busy, Unwritable) as error:
        complain(error)
        return 1, None
    except Exception as error:  # noqa: BLE001 (told in one line, whatever it is)
        complain_of_failure(error, job.folder)
        return 1, None
    finally:
        remove_if_empty(job.folder)


def _quietly(again: Again, *, dry_run: bool, exact: bool) -> tuple[Mapping[str, object], int]:
    """Do it, unless it is only to be told of; give what JSON says of it, and the exit code."""
    job = again.job
    told: dict[str, object] = {
        "run": str(again.source),
        "folder": None if job is None else str(job.folder),
        "fingerprint": None if job is None else job.identity.fingerprint,
        "changed": [change._asdict() for change in again.changed],
        "way_back": list(again.way_back),
        "problems": list(again.problems),
    }
    if again.problems or job is None:
        return told, 2
    code = 0
    if not dry_run:
        with telling(quiet=True):
            code, summary = _attempted(again, job, quiet=True)
        unlike = None if summary is None else _apart(again.source, job.folder)
        told |= {"same_bits": None if unlike is None else not unlike, "apart": unlike or []}
        code = code or int(exact and bool(unlike))
    return {**told, "state": status(job.folder).state}, code


if __name__ == "__main__":
    sys.exit(entry.rerun())
