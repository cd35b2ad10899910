"""How long a study of small runs takes, packed by the local launcher and one after the other.

    python benchmarks/packing.py                         12 LeNet-5 runs on digits, 3 pairs
    python benchmarks/packing.py --runs 2 --pairs 1 train.epochs=1    to see that it works
    python benchmarks/packing.py experiment=lenet5_mnist dataset.root=data dataset.limit_train=10000

Both have the same cores: the local launcher runs a job of one thread on each, the basic launcher
one job that may use them all. The two take turns, because a machine's speed drifts; the ratio is
the median of the pairs' ratios. The times are of whole commands, so starting is counted.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from etude.launch.machine import cores
from etude.runs.environment import environment

WORDS = ["experiment=lenet5_digits", "record.tensorboard=false", "record.curves=false"]
LAUNCHERS = {
    "basic": ["hydra/launcher=basic"],
    "local": ["hydra/launcher=local", "hydra.launcher.threads=1"],
}
RESULT = Path(__file__).parent / "results" / "packing_lenet5.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--runs", type=int, default=12, help="seeds")
    parser.add_argument("--pairs", type=int, default=3, help="turns of each launcher")
    parser.add_argument("--output", type=Path, default=RESULT, help="JSON file to write")
    parser.add_argument("words", nargs="*", metavar="key=value", help="as for etude")
    args = parser.parse_intermixed_args()
    words = ["-m", f"seed=range({args.runs})", *WORDS, *args.words]
    seconds: dict[str, list[float]] = {name: [] for name in LAUNCHERS}
    for pair in range(args.pairs):
        for name in sorted(LAUNCHERS, reverse=pair % 2 == 1):
            seconds[name].append(take(name, words))
            print(f"pair {pair + 1}, {name}: {seconds[name][-1]:.1f} s")
    ratios = [
        local / basic for local, basic in zip(seconds["local"], seconds["basic"], strict=True)
    ]
    found = {
        "runs": args.runs,
        "cores": cores(),
        "words": words,
        "seconds": seconds,
        "ratios": ratios,
        "ratio": statistics.median(ratios),
        "environment": environment(),
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=2, ensure_ascii=False)
    args.output.write_text(text + "\n", encoding="utf-8")
    print(f"local ÷ basic: {found['ratio']:.3f}; {args.output}")


def take(launcher: str, words: list[str]) -> float:
    """Give the seconds of one sweep into a folder of its own."""
    own = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    with tempfile.TemporaryDirectory() as outputs:
        command = [sys.executable, "-m", "etude", *words, *LAUNCHERS[launcher]]
        start = time.monotonic()
        subprocess.run(  # noqa: S603
            command, check=True, stdout=subprocess.DEVNULL, env={**own, "ETUDE_OUTPUTS": outputs}
        )
        return time.monotonic() - start


if __name__ == "__main__":
    main()
