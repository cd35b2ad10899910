"""How long a study of small runs takes, packed by the local launcher and one after the other.

    python -m benchmarks.packing                        12 LeNet-5 runs on digits, 3 pairs
    python -m benchmarks.packing --runs 2 --pairs 1 train.epochs=1    to see that it works
    python -m benchmarks.packing experiment=lenet5_mnist dataset.root=data dataset.limit_train=10000

All have the same cores: the local launcher runs a job of one thread on each, the basic launcher
one job, which may use them all, or one thread. They take turns, because a machine's speed drifts;
a ratio is the median of the rounds' ratios. The times are of whole commands, starting included.
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

from benchmarks.machine import without_place
from etude.launch.machine import cores
from etude.runs.environment import environment

WORDS = ["experiment=lenet5_digits", "record.tensorboard=false", "record.curves=false"]
LAUNCHERS = {
    "basic": ["hydra/launcher=basic"],
    "basic, one thread": ["hydra/launcher=basic"],
    "local": ["hydra/launcher=local", "hydra.launcher.threads=1"],
}
RESULT = Path(__file__).parent / "results" / "packing_lenet5.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
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
    ratios = {
        other: [
            ours / theirs for ours, theirs in zip(seconds["local"], seconds[other], strict=True)
        ]
        for other in LAUNCHERS
        if other != "local"
    }
    made = environment()
    made["command"] = [*map(without_place, made["command"])]
    found = {
        "runs": args.runs,
        "cores": cores(),
        "words": words,
        "seconds": seconds,
        "ratios": ratios,
        "ratio": {other: statistics.median(each) for other, each in ratios.items()},
        "environment": made,
    }
    args.output.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=2, ensure_ascii=False)
    args.output.write_text(text + "\n", encoding="utf-8")
    for other, ratio in found["ratio"].items():
        print(f"local ÷ {other}: {ratio:.3f}")
    print(args.output)


def take(launcher: str, words: list[str]) -> float:
    """Give the seconds of one sweep into a folder of its own."""
    own = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    own |= {"OMP_NUM_THREADS": "1"} if launcher.endswith("one thread") else {}
    with tempfile.TemporaryDirectory() as outputs:
        command = [sys.executable, "-m", "etude", *words, *LAUNCHERS[launcher]]
        start = time.monotonic()
        subprocess.run(  # noqa: S603
            command, check=True, stdout=subprocess.DEVNULL, env={**own, "ETUDE_OUTPUTS": outputs}
        )
        return time.monotonic() - start


if __name__ == "__main__":
    main()
