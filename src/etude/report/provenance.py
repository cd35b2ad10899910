"""Where a report's numbers come from, for its page: every run, what was typed, what it ran on."""

import os
import shlex
from html import escape
from pathlib import Path
from urllib.parse import quote

from etude.report.html import table
from etude.report.read import Run
from etude.report.results import Results
from etude.report.table import Cell
from etude.report.words import lasted, listed, number
from etude.runs.state import State


def every_run(results: Results, folder: Path) -> str:
    """List the runs, with links that start at the page's folder."""
    titles = ("run", "arm", "seed", "state", "epochs", "final", "best", "time", "remark")
    heads = [(title, "", title in {"run", "arm", "state", "remark"}) for title in titles]
    rows = [("", _run(row.label, run, folder)) for row in results.rows for run in row.arm.runs]
    return table("runs-table", (heads, rows), html=0)


def _run(label: str, run: Run, folder: Path) -> list[Cell]:
    path = os.path.relpath(run.folder, folder)
    name = escape(run.folder.name)
    there = run.state is not State.NOT_STARTED
    link = f'<a href="{quote(Path(path).as_posix())}/">{name}</a>' if there else name
    key = "test_accuracy"
    final, best = (run.value(f"{place}.{key}") for place in ("final", "best"))
    error = str(run.summary.get("error") or "")
    seconds = run.value("seconds")
    return [
        Cell(link, run.folder.name),
        Cell(label, label),
        Cell(str(run.seed), run.seed),
        Cell(run.state, run.state),
        Cell(str(run.epochs), run.epochs),
        Cell(number(final), final),
        Cell(number(best), best),
        Cell(lasted(seconds), seconds),
        Cell(error, error),
    ]


def commands(results: Results) -> str:
    """Give what was typed, and what makes each arm alone."""
    typed = dict.fromkeys(shlex.join(c) for run in results.runs if (c := _command(run)))
    plan = next((run.plan for run in results.runs if run.plan.get("command")), None)
    if plan is not None:
        typed = {shlex.join(plan["command"]): None, **typed}
    if not typed:
        return ""
    shown = list(typed)[:20]
    return (
        "<p>What was typed; given again, it trains what is missing and nothing else.</p>"
        f"<pre>{escape(chr(10).join(shown))}</pre>"
        f"<details><summary>Each arm alone</summary><pre>{escape(_alone(results))}</pre></details>"
    )


def _command(run: Run) -> list[str]:
    return [str(word) for word in run.environment.get("command", ())]


def _alone(results: Results) -> str:
    lines: list[str] = []
    for row in results.rows:
        run = next((run for run in row.arm.runs if run.words), None)
        if run is not None:
            words = [f"{key}={value}" for key, value in run.words.items()]
            seeds = ",".join(str(s) for s in sorted({r.seed for r in row.arm.runs}))
            lines.append(shlex.join(["etude", "-m", *words, f"name={run.name}", f"seed={seeds}"]))
    return "\n".join(lines)


def made_with(results: Results) -> str:
    """Name the versions, commits, devices and precisions of all runs."""
    made: list[str] = []
    for key in ("etude", "torch", "python"):
        found = {run.environment.get("versions", {}).get(key) for run in results.runs} - {None}
        made += [f"{key} {escape(listed(sorted(found)))}"] if found else []
    commits = {
        f"{git['commit'][:10]}{' (changed)' if git['dirty'] else ''}"
        for run in results.runs
        if (git := run.environment.get("git"))
    }
    made += [f"commit {escape(listed(sorted(commits)))}"] if commits else []
    for key in ("device", "precision"):
        found = {str(run.summary[key]) for run in results.runs if key in run.summary}
        made += [escape(listed(sorted(found)))] if found else []
    return f"Made with {', '.join(made)}." if made else ""
