"""The script that makes every run of a bundle again, from the bundle alone."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from etude.base.text import counted
from etude.report.bundle.gather import BundledRun, Gathered
from etude.report.commands import of_run
from etude.runs.composed import by_key, config_dir_of, packages_of, words_of

# etude-rerun, as the words alone leave to the machine what has to be as it was: precision, threads,
# compiled or not. Neither an experiment's file nor --config-dir is needed for it.
_HEAD = """\
#!/bin/sh
# Makes {count} again, and holds each against what it was, epoch by epoch, to the bit.
#
#   sh reproduce.sh                       new runs go below again/
#   sh reproduce.sh FOLDER [OPTION…]      or below FOLDER; options go to every etude-rerun:
#                                         --data FOLDER, --weights PATH, --device NAME
#
# A run that is finished there is not trained once more, so that the same command goes on. Above
# each run stand the words that made it.
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || exit 2
case ${{1:-}} in -*) echo "$0: FOLDER comes before $1" >&2; exit 2 ;; esac
outputs=${{1:-again}}
[ $# -eq 0 ] || shift
runs=0
same=0
again() {{
    runs=$((runs + 1))
    run=$1
    shift
    printf '\\n%s\\n' "$run"
    etude-rerun "$here/$run" --outputs "$outputs" --exact "$@" && same=$((same + 1))
}}
"""
_TAIL = """

printf '\\n%s of %s runs came to the same bits\\n' "$same" "$runs"
[ "$same" -eq "$runs" ]
"""


def script(gathered: Gathered) -> str:
    """Write it; runs without a result are named, and left out."""
    done = _in_order([bundled for bundled in gathered.runs if bundled.run.state.has_result])
    left = [bundled for bundled in gathered.runs if not bundled.run.state.has_result]
    lines = [line for bundled in done for line in _lines(bundled, done)]
    lines += [_comment(f"not made again: {one.place} ({one.run.state})") for one in left]
    return _HEAD.format(count=counted(len(done), "run")) + "\n".join(lines) + _TAIL


def _lines(bundled: BundledRun, others: Sequence[BundledRun]) -> Iterator[str]:
    yield ""
    if words := of_run(bundled.run):
        yield _comment(shlex.join(words))
    yield " ".join(["again", shlex.quote(bundled.place), *_options(bundled, others), '"$@"'])


def _options(bundled: BundledRun, others: Sequence[BundledRun]) -> Iterator[str]:
    """Yield what a run needs beside its copy: code of its own, the weights of an earlier run."""
    if packages := packages_of(bundled.run.folder):
        yield " ".join(["--packages", *map(shlex.quote, packages)])
        if (own := config_dir_of(bundled.run.folder)) is not None:
            yield f"--config-dir {shlex.quote(str(own))}"
    if (begins := _begins_with(bundled, others)) is not None:
        yield f'--weights "$outputs"/{shlex.quote(begins[1])}'


def _begins_with(
    bundled: BundledRun, others: Sequence[BundledRun]
) -> tuple[BundledRun, str] | None:
    """Find the run of the bundle whose weights a run begins with, and where the new one's are."""
    words = by_key(words_of(bundled.run.folder))
    parts = PurePath(words.get("init.weights", "").strip("'\"")).parts
    for other in others if len(parts) > 1 else ():
        folder = other.run.folder.absolute()
        for place in range(len(parts) - 1):
            if parts[place : place + 2] == (folder.parent.name, folder.name):
                name = str(other.run.summary.get("name", folder.parent.name))
                return other, PurePath(name, *parts[place + 1 :]).as_posix()
    return None


def _in_order(runs: Sequence[BundledRun]) -> list[BundledRun]:
    """Put runs after those whose weights they begin with."""
    before = {one.place: found[0] for one in runs if (found := _begins_with(one, runs))}

    def steps(one: BundledRun) -> int:
        count, seen = 0, {one.place}
        while (one := before.get(one.place, one)).place not in seen:
            count, seen = count + 1, {*seen, one.place}
        return count

    return sorted(runs, key=steps)


def _comment(text: str) -> str:
    """Write a comment of one line, whatever a folder says."""
    return f"# {' '.join(text.splitlines())}"
