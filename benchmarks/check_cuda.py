"""Whether Étude does on this machine's GPU what it should, and how fast, in some minutes.

python -m benchmarks.check_cuda                        all parts
python -m benchmarks.check_cuda --parts steps resume   some of them
python -m benchmarks.check_cuda --device cpu           each part in its smallest form

It needs no data set. The end is a table and `benchmarks/results/<device>-check.json`; the exit code
is 1 where something is not as it should be. A goal of speed that is missed is told, and no failure.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import machine, tables
from benchmarks.rows import ROOT
from benchmarks.same_bits import kill_once_saved, rows_of
from etude.base.text import counted

AT_ONCE = min(16, max(2, os.cpu_count() or 2))  # processes on the GPU where nothing is timed
SEEDS = 16
LONGEST = 200  # seconds that a part of it may take
# Of processes that share the machine: threads that wait for each other would take its cores.
SHARED = {"OMP_NUM_THREADS": "1", "TORCHINDUCTOR_COMPILE_THREADS": "4"}
# Étude by default ÷ the others, on an H100 or H200.
GOALS = {
    "lenet": {"eager": 10, "bare": 0.95, "dataloader": 12},
    "lenet_shift": {"bare": 0.9, "dataloader": 13},
    "alexnet": {"eager": 6, "bare": 0.95},
    "vgg11": {"eager": 2.8, "bare": 0.95},
    "vgg19": {"eager": 3.2, "bare": 0.95},
    "resnet20": {"eager": 5, "bare": 0.95, "dataloader": 6},
}

Told = dict[str, Any]


def python(*words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a module of this checkout; one that hangs is ended, and has failed."""
    command = [sys.executable, "-m", *words]
    how: Any = {"cwd": ROOT, "capture_output": True, "text": True, "timeout": LONGEST}
    try:
        return subprocess.run(command, check=False, env=os.environ | environment, **how)  # noqa: S603 (our own)
    except subprocess.TimeoutExpired:
        told = f"{' '.join(words)} did not end within {LONGEST} s"
        return subprocess.CompletedProcess(command, 1, stdout="", stderr=told)


def check_tests(device: str) -> Told:
    """Run every test that is marked `gpu`."""
    files = ["tests/test_graph.py"]
    if device == "cuda":  # collecting all tests would take longer than these
        every = sorted((ROOT / "tests").rglob("test_*.py"))
        files = [str(path) for path in every if "mark.gpu" in path.read_text(encoding="utf-8")]
    words = ("-m", "gpu", "-p", "no:benchmark", "-p", "no:cacheprovider", "-n", "8")
    wide = {"COLUMNS": "300"}  # room for the reason of a failure
    done = python("pytest", *words, "--durations=5", *files, **SHARED, **wide)
    last = done.stdout.strip().splitlines()[-1:] or [done.stderr[-200:]]
    counts = {
        word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|skipped|error)", last[0])
    }
    failed = re.findall(r"^(?:FAILED|ERROR) .+", done.stdout, re.MULTILINE)
    durations = re.findall(r"^([\d.]+)s call +(\S+)", done.stdout, re.MULTILINE)
    slowest = [(float(seconds), test) for seconds, test in durations]
    return {"ok": done.returncode == 0, "counts": counts, "failed": failed, "told": last[0],
            "slowest": slowest}  # fmt: skip


def check_steps(device: str) -> Told:
    """Compare each experiment's captured steps with its eager ones."""
    names = sorted((path.stem for path in (ROOT / "conf" / "experiment").glob("*.yaml")),
                   key=_number_in, reverse=True)  # fmt: skip
    if device == "cpu":
        names = ["lenet5_digits", "resnet_digits"]
    words = ("--device", device, "--at-once", str(min(AT_ONCE, len(names))))
    done = python("benchmarks.check_steps", *words, *names, **SHARED)
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    wrong = [line for line in told if not line["same"]]
    missing = sorted(set(names) - {line["experiment"] for line in told})
    slowest = sorted(((line.get("seconds", 0), line["experiment"]) for line in told), reverse=True)
    return {"ok": not wrong and not missing, "experiments": len(told), "wrong": wrong,
            "missing": missing, "slowest": slowest[:5]}  # fmt: skip


def _number_in(name: str) -> int:
    """Give the largest number in a name: networks of many layers are begun first."""
    return max(map(int, re.findall(r"\d+", name.partition("_cifar")[0])), default=0)


def check_resume(device: str) -> Told:
    """Kill a run in the middle of an epoch, go on, and compare with one that was left alone."""
    words = ["etude", "experiment=lenet5_digits", f"device={device}", "train.epochs=30",
             "train.checkpoint_steps=7", "record.tensorboard=false",
             "record.curves=false"]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        whole, cut = Path(folder, "whole"), Path(folder, "cut")
        left_alone = python(*words, ETUDE_OUTPUTS=str(whole))
        environment = os.environ | {"ETUDE_OUTPUTS": str(cut)}
        killed = kill_once_saved([sys.executable, "-m", *words], cut, environment)
        python(*words, ETUDE_OUTPUTS=str(cut))
        rows = [[row for run in place.glob("*/*/") for row in rows_of(run)]
                for place in (whole, cut)]  # fmt: skip
    same = bool(rows[0]) and rows[0] == rows[1]
    return {"ok": same and left_alone.returncode == 0, "epochs": len(rows[0]), "kills": int(killed),
            "same": same}  # fmt: skip


def check_speed(device: str) -> Told:
    """Time each network's steps; what is compiled is compiled before, by `compile_all`."""
    small = ("--images", "300", "--seconds", "0.01", "--workers", "0")
    how = ("--device", device, *(small if device == "cpu" else ("--seconds", "0.4")))
    rows = list(GOALS) if device == "cuda" else ["lenet"]
    done = python("benchmarks.check_speed", *rows, *how)
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    missing = [row for row in rows if row not in {line["row"] for line in told}]
    problem = {"problem": done.stderr[-600:]} if missing else {}
    return {"ok": not missing, "rows": told, "missing": missing, **problem}


def check_many(device: str) -> Told:
    """Time seeds of LeNet that share the GPU beside one of them."""
    seeds = SEEDS if device == "cuda" else 2
    words = ["etude", "-m", "experiment=lenet5_digits", f"device={device}", "train.epochs=40",
             "record.tensorboard=false", "record.curves=false"]  # fmt: skip
    seconds: Told = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, launcher in {"together": "local", "one by one": "basic"}.items():
            start = time.perf_counter()
            done = python(*words, f"seed=range({seeds})", f"hydra/launcher={launcher}",
                          ETUDE_OUTPUTS=f"{folder}/{launcher}")  # fmt: skip
            seconds[name] = time.perf_counter() - start
            if done.returncode:
                return {"ok": False, "problem": done.stderr[-600:]}
    ratio = seconds["one by one"] / seconds["together"]
    return {"ok": True, "seeds": seeds, "seconds": seconds, "ratio": ratio}


PARTS: dict[str, Callable[[str], Told]] = {
    "tests": check_tests,
    "steps": check_steps,
    "resume": check_resume,
    "speed": check_speed,
    "many": check_many,
}


TIMED = ("speed", "many")  # nothing else may run beside them


def carry_out(part: str, device: str) -> Told:
    """Do a part, and tell what came of it."""
    start = time.perf_counter()
    told = PARTS[part](device) | {"took": time.perf_counter() - start}
    print(f"{part}: {_detail(part, told)}, {told['took']:.0f} s", flush=True)
    for each in ("failed", "wrong", "missing", "slowest"):
        for value in told.get(each, ()):
            line = "{:.1f} s {}".format(*value) if each == "slowest" else value
            print(f"  {each}: {line}", flush=True)
    return told


def compile_all() -> None:
    """Have the compiler's cache filled, all networks at once."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        words = ("benchmarks.check_speed", "--compile-only")
        compiled = partial(python, *words, **SHARED)
        for row, done in zip(GOALS, pool.map(compiled, GOALS), strict=True):
            if done.returncode:
                print(f"  {row} was not compiled: {done.stderr[-300:]}", flush=True)


def show(told: Told) -> str:
    """Lay the results out."""
    lines = [
        [part, "yes" if result["ok"] else "**NO**", _detail(part, result), f"{result['took']:.0f}"]
        for part, result in told.items()
    ]
    text = tables.table(["part", "as it should be", "what came of it", "seconds"], lines)
    return f"{text}\n\n{_speeds(told['speed'])}" if "speed" in told else text


def _detail(part: str, told: Told) -> str:
    if "problem" in told:
        return str(told["problem"]).strip().splitlines()[-1][:100]
    details = {
        "tests": lambda: told["told"].strip("= "),
        "steps": lambda: (
            f"{counted(told['experiments'], 'experiment')}, {len(told['wrong'])} differ"
        ),
        "resume": lambda: (
            f"{counted(told['epochs'], 'epoch')}, {counted(told['kills'], 'kill')}, "
            + ("equal to the bit" if told["same"] else "not equal")
        ),
        "speed": lambda: f"{counted(len(told['rows']), 'network')}, below",
        "many": lambda: (
            f"{counted(told['seeds'], 'seed')} of LeNet {told['ratio']:.1f} × as fast together"
        ),
    }
    return details[part]()


def _speeds(told: Told) -> str:
    lines: list[list[str]] = []
    for row in told["rows"]:
        ratios = [f"{row['auto'] / row[name]:.2f}{_wanted(row['row'], name)}"
                  for name in ("eager", "bare", "dataloader")]  # fmt: skip
        rates = [f"{row[name]:,.0f}" for name in ("auto", "eager", "bare", "dataloader")]
        lines.append([row["row"], *rates, *ratios])
    head = ["steps/s, batch 128", "default", "eager", "bare", "DataLoader", "÷ eager", "÷ bare",
            "÷ DataLoader"]  # fmt: skip
    return tables.table(head, lines)


def _wanted(row: str, name: str) -> str:
    goal = GOALS[row].get(name)
    return "" if goal is None else f" (≥ {goal:g})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--no-save", dest="save", action="store_false")
    chosen = parser.parse_args()
    machine.require(chosen.device)
    untimed = [part for part in chosen.parts if part not in TIMED]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        if "speed" in chosen.parts and chosen.device == "cuda":
            pool.submit(compile_all)
        told = dict(pool.map(lambda part: (part, carry_out(part, chosen.device)), untimed))
    told |= {part: carry_out(part, chosen.device) for part in chosen.parts if part in TIMED}
    text = show(told) + f"\n\n{tables.SMALLEST}" * (chosen.device == "cpu")
    print(f"\n{text}")
    if chosen.save:
        tables.save("check", told, text, device=chosen.device)
    sys.exit(0 if all(result["ok"] for result in told.values()) else 1)


if __name__ == "__main__":
    main()
