"""Finished runs to a team's tracker, and what came of it."""

import argparse
from collections import Counter
from collections.abc import Sequence

from etude.base.errors import UserError
from etude.base.text import counted
from etude.cli.output import show_json
from etude.cli.terminal import complain, console
from etude.report.read import RunFolder, read
from etude.report.trackers import Sending, Tracker, open_tracker, send
from etude.report.trackers.sent import SentRun, can_be_sent, to_send


def send_runs(args: argparse.Namespace) -> int:
    """Send the finished runs in and below some folders; return 0, or 1 if it cannot keep them.

    Raises:
        UserError: There is none, or the tracker is not to be had.
    """
    found = read(args.runs)
    runs = to_send(found, args.project)
    left = Counter(_why(run) for run in found if not can_be_sent(run))
    if not runs:
        raise UserError(f"{_states(left)}: only finished runs are sent; finish one first")
    try:
        tracker = open_tracker(args.to, args.store)
        done = send(tracker, runs)
    except OSError as error:
        complain(f"{error}; --store names what can be written to")
        return 1
    if args.json:
        plain = {word: _plain(part) for word, part in done._asdict().items()}
        show_json(plain)
    else:
        _tell(tracker, done, left)
    if done.lost:
        lost = counted(len(done.lost), "run")
        complain(f"{args.to} has not kept {lost}; give the command again")
    return 1 if done.lost else 0


def _why(run: RunFolder) -> str:
    """Say why a run is not sent."""
    if not run.state.has_result:
        return str(run.state)
    return "damaged (metrics.jsonl or summary.json lacks something, or is another run's)"


def _plain(runs: Sequence[SentRun]) -> list[dict[str, str]]:
    keys = ("project", "group", "name", "fingerprint")
    return [{key: getattr(run, key) for key in keys} for run in runs]


def _tell(tracker: Tracker, done: Sending, left: Counter[str]) -> None:
    sent, there = done.sent, done.there
    lines = [f"sent      {counted(len(sent), 'run')} to {tracker.place}"]
    if there:
        lines.append(f"there     {counted(len(there), 'run')} already")
    if left:
        lines.append(f"left out  {_states(left)}")
    projects = dict.fromkeys(run.project for run in (*sent, *there))
    looks = dict.fromkeys(tracker.look(project) for project in projects)
    lines += [f"look      {look}" for look in looks]
    console.print("\n".join(lines), markup=False)


def _states(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {state}" for state, number in counts.items())
