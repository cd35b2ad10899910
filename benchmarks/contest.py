"""Étude's loop beside the bare step and its peers, alternated within one run.

python -m benchmarks.contest                          all rows
python -m benchmarks.contest --rows lenet alexnet     some of them
python -m benchmarks.contest --quick                  three rounds of each: a look, no result
python -m benchmarks.contest --small                  two steps of each on made data: does it run?
python -m benchmarks.contest --device cuda            with captured steps, and bfloat16
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Container, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from benchmarks import machine, tables
from benchmarks.environments import installed, python_of
from benchmarks.referee import Contestant, told
from benchmarks.rows import ROOT, ROWS, Row, form
from benchmarks.statistics_of import differences, ratios

Answers = dict[str, Any]


class Entry(NamedTuple):
    """One contestant: its name in the results, its module, and its words."""

    name: str
    module: str
    words: tuple[str, ...] = ()
    environment: str | None = None


def entries(
    row: Row, device: str, precisions: Sequence[str], peers: Container[str]
) -> Iterator[Entry]:
    """List who takes part in a row; of the peers with environments, those that are there."""
    graph = device == "cuda" and _knows_graph()
    small = ("--small",) if row.is_small else ()
    arrays = ("--arrays", told("pictures", "--row", row.name, "--device", device, *small))
    for precision in precisions:
        for step in ("eager", "graph") if graph else ("eager",):
            suffix = f" {precision}" + (" graph" if step == "graph" else "")
            words = ("--precision", precision, "--step", step)
            yield Entry("bare" + suffix, "bare", (*words, *arrays))
            yield Entry("etude" + suffix, "etude_loop", words)
    for workers in row.workers:
        suffix = f" with {workers} workers" if workers else ""
        words = ("--workers", str(workers))
        yield Entry("dataloader" + suffix, "dataloader", words)
        if "lightning" in peers:
            yield Entry("lightning" + suffix, "lightning_trainer", words, "lightning")
    if "keras" in peers and device == "cpu":
        for precision in precisions:
            suffix = "" if precision == "float32" else f" {precision}"
            yield Entry("keras" + suffix, "keras_fit", ("--precision", precision, *arrays), "keras")


def start(entry: Entry, row: Row, device: str) -> Contestant:
    """Start a contestant in the environment that it needs."""
    python = python_of(entry.environment) if entry.environment else Path(sys.executable)
    module = f"benchmarks.contestants.{entry.module}"
    command = [python, "-m", module, "--row", row.name, "--device", device, *entry.words]
    command += ["--small"] if row.is_small else []
    return Contestant(entry.name, command)


def play(row: Row, entered: Sequence[Entry], device: str) -> Answers:
    """Alternate a row's contestants, and give their turns."""
    with ExitStack() as stack:
        contestants = [start(entry, row, device) for entry in entered]
        for contestant in contestants:
            stack.callback(contestant.stop)
        facts = {contestant.name: contestant.facts() for contestant in contestants}
        for contestant in contestants:
            contestant.warm_up()
        for number in range(row.rounds):
            # Another one begins each round, and every other round goes backwards.
            first = number % len(contestants)
            order = contestants[first:] + contestants[:first]
            for contestant in order if number % 2 == 0 else reversed(order):
                contestant.play()
    return {c.name: facts[c.name] | _measures(c, row) for c in contestants}


def _measures(contestant: Contestant, row: Row) -> Answers:
    seconds = [turn["seconds"] for turn in contestant.turns]
    return {
        "images_per_second": row.images / median(seconds),
        "steps_per_second": row.steps / median(seconds),
        "seconds": seconds,
        "cpu_seconds": [turn["cpu_seconds"] for turn in contestant.turns],
        "peak_bytes": contestant.turns[-1]["peak_bytes"],
    }


def compare(row: Row, measured: Answers) -> list[Answers]:
    """Hold Étude against everybody else, and against the goals."""
    return [
        _comparison(row, ours, theirs, measured)
        for ours in measured
        if ours.startswith("etude")
        for theirs in measured
        if _comparable(ours, theirs)
    ]


def _comparable(ours: str, theirs: str) -> bool:
    """Say whether it is a question: bare steps and Étude's others only at like settings."""
    kind, _, settings = theirs.partition(" ")
    own = ours.partition(" ")[2]
    if kind == "bare":
        return settings == own
    if kind == "etude":
        faster = own in (f"{settings} graph", settings.replace("float32", "bfloat16"))
        return ours != theirs and faster
    return True


def _comparison(row: Row, ours: str, theirs: str, measured: Answers) -> Answers:
    clocks = {
        clock: ratios(measured[theirs][clock], measured[ours][clock])
        for clock in ("seconds", "cpu_seconds")
    }
    lost = differences(measured[ours]["seconds"], measured[theirs]["seconds"])
    goal = _goal(row, ours, theirs, auto=measured[ours].get("auto", False))
    return {
        "ours": ours,
        "theirs": theirs,
        "ratio": clocks["seconds"]._asdict(),
        "cpu_ratio": clocks["cpu_seconds"]._asdict(),
        "overhead_us": lost.median / row.steps * 1e6,
        "goal": goal,
        "met": None if goal is None else clocks["seconds"].median >= goal,
    }


def _goal(row: Row, ours: str, theirs: str, *, auto: bool) -> float | None:
    """Look up what is wanted of a ratio; peers are held against what a user's run takes."""
    kind, _, settings = theirs.partition(" ")
    if "graph" in ours:
        other_precision = kind == "etude" and "graph" in settings
        return None if other_precision else row.goals_graph.get(kind)
    if kind == "etude":
        return row.goals.get("bfloat16")
    # The goals compare like with like in threads: workers are two processes more.
    if kind != "bare" and (not auto or "workers" in theirs):
        return None
    return row.goals.get(kind)


def _knows_graph() -> bool:
    """Ask Étude whether it can capture a step."""
    command = [sys.executable, "-m", "etude", "--cfg", "job", "train.step=graph"]
    return subprocess.run(command, check=False, capture_output=True, cwd=ROOT).returncode == 0  # noqa: S603


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precisions", nargs="+", choices=("float32", "bfloat16"))
    parser.add_argument("--quick", action="store_true", help="three rounds of each row")
    parser.add_argument("--small", action="store_true", help="two steps each, on made data")
    parser.add_argument("--no-peers", dest="peers", action="store_false")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> Answers:
    """Hold the contest; give its results by row."""
    chosen = _options(words)
    machine.require(chosen.device)
    precisions = chosen.precisions or ["float32"]
    if not chosen.precisions and machine.multiplies_bfloat16(chosen.device):
        precisions.append("bfloat16")
    elif not chosen.precisions:
        print("no bfloat16 rows: this CPU does not multiply it (amx_bf16, avx512_bf16)\n")
    rates = json.loads(told("rate", chosen.device, *precisions))
    peers = installed() if chosen.peers else set[str]()
    results: Answers = {"matmul_flops_per_second": rates, "rows": {}}
    texts: list[str] = []
    for name in chosen.rows:
        try:
            found = contest(name, chosen, precisions, peers)
        except subprocess.CalledProcessError:
            print(f"{name} is left out: its images are not here; the reason is above\n")
            continue
        results["rows"][name] = found
        texts.append(tables.row(name, found, rates))
        print(texts[-1], flush=True)
    if not chosen.quick and not chosen.small:
        tables.save("contest", results, "\n".join(texts), device=chosen.device)
    return results["rows"]


def contest(
    name: str, chosen: argparse.Namespace, precisions: Sequence[str], peers: Container[str]
) -> Answers:
    """Have a row's contestants play, and compare them."""
    row = form(name, chosen.device, small=chosen.small)
    row = replace(row, rounds=3) if chosen.quick else row
    entered = list(entries(row, chosen.device, precisions, peers))
    measured = play(row, entered, chosen.device)
    return {
        "batch_size": row.batch_size,
        "steps": row.steps,
        "rounds": row.rounds,
        "contestants": measured,
        "comparisons": compare(row, measured),
    }


if __name__ == "__main__":
    main()
