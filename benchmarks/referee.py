"""How the driver and a contestant talk: one word in, one line of JSON out, a process each.

A contestant says what it is, then does one turn for every `go` until its input ends. Whoever owns
the loop (Étude, or a framework that calls back) calls `wait` before a turn and `done` after it.
"""

import argparse
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.environments import FOLDER
from benchmarks.rows import ROOT, ROWS, Row, form

ONE_THREAD = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS",
)  # fmt: skip


class Referee:
    """The contestant's side.

    Args:
        finish: Waits for the device, so that a clock read next is honest.
        peak: Gives the most memory held so far in bytes; None: of the process.
    """

    def __init__(
        self, finish: Callable[[], None] | None = None, peak: Callable[[], int] | None = None
    ) -> None:
        self._finish = finish or (lambda: None)
        self._peak = peak or peak_resident
        # Libraries print; only answers may reach the driver.
        self._answers = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)
        self._start = self._cpu = 0.0

    def ready(self, **facts: Any) -> None:
        """Tell the driver what came up."""
        self._say(facts)

    def wait(self) -> None:
        """Wait for the next turn, and start its clock; end the process when there is none."""
        if not sys.stdin.readline():
            self._answers.flush()
            os._exit(0)  # frameworks' own clean-up of an endless run would only take time
        self._start, self._cpu = time.perf_counter(), cpu_seconds()

    def done(self) -> None:
        """Stop the clock, and tell it."""
        self._finish()
        seconds = time.perf_counter() - self._start
        used = cpu_seconds() - self._cpu
        self._say({"seconds": seconds, "cpu_seconds": used, "peak_bytes": self._peak()})

    def serve(self, turn: Callable[[], object]) -> None:
        """Do turns until the driver has had enough."""
        while True:
            self.wait()
            turn()
            self.done()

    def _say(self, answer: dict[str, Any]) -> None:
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()


class Contestant:
    """The driver's side: a process that has been started, and its turns so far.

    Args:
        name: In the results.
        command: What to start.
    """

    def __init__(self, name: str, command: Sequence[str | Path]) -> None:
        self.name = name
        self.turns: list[dict[str, float]] = []
        self._log = FOLDER / "logs" / f"{name}.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("w", encoding="utf-8") as log:
            self._process = subprocess.Popen(  # noqa: S603 (our own scripts)
                [str(word) for word in command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                stderr=log,
                cwd=ROOT,
                env=os.environ | dict.fromkeys(ONE_THREAD, "1"),
            )

    def facts(self) -> dict[str, Any]:
        """Wait until it is ready."""
        return self._read()

    def warm_up(self) -> None:
        """Have it do a turn that does not count."""
        self._turn()

    def play(self) -> None:
        """Have it do a turn."""
        self.turns.append(self._turn())

    def stop(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()

    def _turn(self) -> dict[str, float]:
        assert self._process.stdin is not None  # noqa: S101 (opened above)
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None  # noqa: S101 (opened above)
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            raise RuntimeError(
                f"{self.name} ended with exit code {code}; the end of {self._log}:\n"
                + self._log.read_text(encoding="utf-8")[-2000:]
            )
        return json.loads(line)


def cpu_seconds() -> float:
    """Give what this process has computed, and the workers below it, in seconds."""
    workers = multiprocessing.active_children()
    return time.process_time() + sum(_cpu_seconds_of(worker.pid) for worker in workers)


def _cpu_seconds_of(process: int | None) -> float:
    fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # user and system


def peak_resident() -> int:
    """Give the most memory this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def told(module: str, *words: str) -> str:
    """Run a script of ours in a process of its own, before anything is timed; give its output."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *words]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)  # noqa: S603
    return answer.stdout.strip()


def options(doc: str) -> tuple[Row, argparse.Namespace]:
    """Read a contestant's command line; the first line of its docstring is the help."""
    parser = argparse.ArgumentParser(description=doc.partition("\n")[0])
    parser.add_argument("--row", choices=ROWS, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--step", default="eager")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--arrays", type=Path)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--small", action="store_true")
    chosen = parser.parse_args()
    row = form(chosen.row, chosen.device, small=chosen.small)
    batch_size, steps = chosen.batch_size or row.batch_size, chosen.steps or row.steps
    return replace(row, batch_size=batch_size, steps=steps), chosen
