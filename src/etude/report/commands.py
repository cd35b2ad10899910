"""The commands that make runs again, with all that they were composed from beside their words."""

import shlex
from collections.abc import Iterator, Sequence

from etude.report.read import RunFolder
from etude.report.results import Results
from etude.runs.composed import options_of, words_of

_SHOWN = 20
_OF_AN_ARM = {"seed", "name", "fresh"}  # words that are not an arm's own
_MODULE = "__main__.py"  # what `python -m etude` calls itself


def typed(results: Results) -> list[str]:
    """Give what was typed: the study's own command, then those that the runs remember.

    A launcher's process, a script or a notebook has typed nothing; a run's own words stand there.
    """
    planned = next((plan["command"] for run in results.runs if (plan := run.plan)["command"]), None)
    lines = [*([] if planned is None else [planned]), *map(_typed, results.runs)]
    return list(dict.fromkeys(shlex.join(line) for line in lines if line))[:_SHOWN]


def alone(results: Results) -> list[str]:
    """Give the command that makes each arm alone."""
    return [shlex.join(words) for words in _alone(results)]


def of_run(run: RunFolder) -> list[str]:
    """Give the command that makes one run; nothing where its folder has no words."""
    words = words_of(run.folder)
    return ["etude", *options_of(run.folder), *words] if words else []


def _typed(run: RunFolder) -> Sequence[str]:
    command = [str(word) for word in run.environment.get("command", ())]
    if not command:
        return []
    first = "etude" if command[0] == _MODULE else command[0]
    return [first, *command[1:]] if first.partition("-")[0] == "etude" else of_run(run)


def _alone(results: Results) -> Iterator[Sequence[str]]:
    for row in results.rows:
        run = next((run for run in row.arm.runs if words_of(run.folder)), None)
        if run is None:
            continue
        whole = words_of(run.folder)
        words = [word for word in whole if word.partition("=")[0] not in _OF_AN_ARM]
        seeds = ",".join(str(s) for s in sorted({r.seed for r in row.arm.runs}))
        options = options_of(run.folder)
        yield ["etude", "-m", *options, *words, f"name={run.name}", f"seed={seeds}"]
