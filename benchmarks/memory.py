"""The peak memory of a run beside the bare step's and the data set's bytes.

python -m benchmarks.memory                     the rows that take seconds
python -m benchmarks.memory --rows vgg11 vgg19
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from benchmarks import tables
from benchmarks.network import compose_words
from benchmarks.referee import told
from benchmarks.rows import ROOT, ROWS, Row, form
from etude.config import settings, source_of

GOAL = 1.1
QUICK = ("lenet", "alexnet", "resnet20")
BATCH_SIZE = 128


def peak_of(command: list[str]) -> int:
    """Run a command that must succeed; give the most memory it held, in bytes."""
    process = subprocess.Popen(  # noqa: S603 (our own scripts)
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert process.stdin is not None and process.stdout is not None  # noqa: PT018, S101
    process.stdin.write(b"go\n")
    process.stdin.close()
    with process.stdout as said:
        said.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {process.returncode}")
    return used.ru_maxrss * 1024


def bare_peak(row: Row) -> int:
    """Measure three bare steps in a process of their own."""
    words = ["--row", row.name, "--batch-size", str(BATCH_SIZE), "--steps", "3"]
    words += ["--small"] if row.is_small else []
    arrays = told("pictures", *words)
    script = [sys.executable, "-m", "benchmarks.contestants.bare"]
    return peak_of([*script, *words, "--arrays", arrays])


def run_peak(row: Row, folder: str) -> int:
    """Measure a run over the whole data set, with only the first batches of each pass."""
    words = [f"train.batch_size={BATCH_SIZE}", "train.epochs=2", "device=cpu", "precision=float32"]
    run = [sys.executable, "-m", "benchmarks.short_run", *row.words]
    return peak_of([*run, *words, f"hydra.run.dir={folder}/{row.name}"])


def data_bytes(row: Row) -> int:
    """Count the pixels of both parts, a byte each, as the network sees them."""
    config = compose_words(list(row.words))
    facts = source_of(config).facts()
    size = settings(config.dataset)["input_size"] or facts.size
    return (facts.train_images + facts.test_images) * facts.channels * size**2


def measure(row: Row, folder: str) -> dict[str, Any]:
    """Measure a row's two processes."""
    bare, data, run = bare_peak(row), data_bytes(row), run_peak(row, folder)
    return {"bare": bare, "data": data, "run": run, "ratio": run / (bare + data)}


def show(rows: dict[str, Any]) -> str:
    """Lay the results out."""
    lines = [
        [
            name,
            *(f"{row[part] / 2**20:,.0f}" for part in ("bare", "data", "run")),
            f"{row['ratio']:.3f}",
            tables.MARKS[row["ratio"] <= GOAL],
        ]
        for name, row in rows.items()
    ]
    head = ["row", "bare step, MiB", "data, MiB", "run, MiB", "ratio", f"goal ≤ {GOAL:g}"]
    return f"### Peak memory, batch {BATCH_SIZE}\n\n{tables.table(head, lines)}\n"


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=QUICK)
    parser.add_argument("--small", action="store_true", help="on made data: does it run?")
    chosen = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as folder:
        rows = {name: form(name, "cpu", small=chosen.small) for name in chosen.rows}
        told = {name: measure(row, folder) for name, row in rows.items()}
    tables.give("memory", {"rows": told}, show(told), small=chosen.small)


if __name__ == "__main__":
    main()
