"""How long a report takes, and how much memory, over many run folders.

    python benchmarks/report_size.py            # 100 and 1,000 runs of 200 epochs

Makes the folders (20 arms' worth of seeds each), reports them in a fresh process with all of its
files, and writes the seconds and the peak memory to `benchmarks/results/report_size.json`.
"""

import argparse
import json
import math
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

EPOCHS, SEEDS = 200, 5
GOALS = {100: {"seconds": 2.0}, 1000: {"seconds": 10.0, "mebibytes": 500.0}}
RESULT = Path(__file__).parent / "results" / "report_size.json"


def main() -> None:
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    measured = {str(runs): measure(runs) for runs in GOALS}
    RESULT.write_text(
        json.dumps(
            {
                "what": f"etude-report: runs of {EPOCHS} epochs, {SEEDS} seeds an arm, all files",
                "goals": GOALS,
                "measured": measured,
                "python": platform.python_version(),
                "cores": len(os.sched_getaffinity(0)),
            },
            indent=2,
        )
        + "\n"
    )
    print(RESULT.read_text())


def measure(runs: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), runs)
        seconds: list[float] = []
        for _ in range(3):
            start = time.monotonic()
            command = [sys.executable, "-m", "etude.cli.report", folder]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
            seconds.append(time.monotonic() - start)
    # Of the largest child so far: the counts are measured in ascending order.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {"median_seconds": round(sorted(seconds)[1], 2), "peak_mebibytes": round(peak)}


def make(folder: Path, runs: int) -> None:
    """Write run folders like those of a sweep over learning rate and weight decay."""
    draw = random.Random(0)  # noqa: S311
    for index in range(runs):
        arm, seed = divmod(index, SEEDS)
        path = folder / f"lr={arm}_seed={seed}-{index:08x}"
        path.mkdir()
        rows = [row(epoch, arm, draw) for epoch in range(1, EPOCHS + 1)]
        lines = "".join(json.dumps(line) + "\n" for line in rows)
        (path / "metrics.jsonl").write_text(lines)
        (path / "summary.json").write_text(json.dumps(summary(arm, seed, index, rows[-1])))
        (path / ".hydra").mkdir()
        words = f"- optimizer.lr={lr(arm)}\n- l2={decay(arm)}\n- seed={seed}\n"
        (path / ".hydra" / "overrides.yaml").write_text(words)


def row(epoch: int, arm: int, draw: random.Random) -> dict[str, Any]:
    loss = 2.3 * math.exp(-epoch / (20 + arm)) + 0.1 * draw.random()
    scores = {
        f"{part}_{quantity}": value + 0.01 * draw.random()
        for part in ("train", "validation")
        for quantity, value in (("loss", loss), ("accuracy", 1 - loss / 2.4))
    }
    others = {"penalty": 0.1, "lr": lr(arm), "images_per_second": 5000.0, "seconds": 9.0}
    return {"epoch": epoch, "step": 390 * epoch, **scores, **others, "memory_bytes": 10**9}


def summary(arm: int, seed: int, index: int, last: dict[str, Any]) -> dict[str, Any]:
    result = {k: v for k, v in last.items() if k.endswith(("loss", "accuracy"))}
    result |= {"epoch": EPOCHS, "test_loss": last["validation_loss"]}
    result |= {"test_accuracy": last["validation_accuracy"]}
    other = {f"model.setting_{i}": i for i in range(50)}
    chosen = {"optimizer.lr": lr(arm), "l2": decay(arm), "seed": seed}
    return {
        "state": "finished", "name": "fake", "fingerprint": f"{index:08x}", "seed": seed,
        "scale": 1.0, "parameters": {"trainable": 10**6, "total": 10**6}, "device": "cpu",
        "precision": "float32", "data": {"test": 10_000}, "hyperparameters": other | chosen,
        "epochs": EPOCHS, "final": result, "best": result, "selection": "validation",
        "seconds": 1800.0, "images_per_second": 5000.0, "peak_memory_bytes": 10**9,
        "reference": [],
    }  # fmt: skip


def lr(arm: int) -> float:
    return 0.001 * 2 ** (arm % 10)


def decay(arm: int) -> float:
    return 1e-5 * 2 ** (arm // 10)


if __name__ == "__main__":
    main()
