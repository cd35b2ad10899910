"""Kill runs, a search and a study again and again; what they end with is equal to the bit.

    python -m benchmarks.soak [seconds]

Each subject is done once in peace. Then it is begun anew, killed at random moments (-9, SIGTERM,
SIGINT; the process alone, or all that belong to it), gone on with by the same command until it is
done, and compared: weights, every epoch's numbers, the trials' values. Two are at work at a time.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.same_bits import rows_of, tensors_of
from benchmarks.tables import save, table

SECONDS = 1200
SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT")
MARK = "ETUDE_SOAK"  # in the environment of all that is started
TRAIN = ["train.epochs=12", "train.checkpoint_steps=5", "record.curves=false",
         "record.tensorboard=false", "augment=shift"]  # fmt: skip
FEW = ["train.epochs=4", "dataset.limit_train=400", "dataset.limit_test=60",
       "train.checkpoint_steps=5", "record.curves=false", "record.tensorboard=false"]  # fmt: skip
STREAM = ["dataset=folder", "dataset.root=images", "dataset.stream=true", "dataset.input_size=28",
          "dataset.load_size=28", "augment=none", "model=lenet5", "train.epochs=10",
          "train.batch_size=8",
          "dataset.normalize=unit"]  # fmt: skip
STUDY = """\
question: Which rate?
claim: The first.
source: nobody
seeds: [0, 1]
full: {experiment: lenet5_digits, baseline: a, axes: {rate: {a: [], b: [optimizer.lr=0.01]}}}
"""
# By what they count as; the two lists are worked on side by side.
LANES: list[dict[str, list[str]]] = [
    {"run": TRAIN, "streamed run": [*TRAIN, *STREAM]},
    {
        "study": ["--config-dir=conf", "study=rates", *FEW],
        "search": ["study=lenet_search", *FEW, "hydra.sweeper.n_trials=4",
                   "hydra.sweeper.startup_trials=2"],
    },
]  # fmt: skip
# Before Python has begun, and once it has ended, a signal is the kernel's: a shell calls Ctrl-C 130
# and SIGTERM 143 all the same.
CODES = {-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, 130, 75, 1, 0}


@dataclass
class Record:
    """What was done to one subject, and what came of it."""

    kills: Counter[str] = field(default_factory=Counter[str])
    codes: Counter[str] = field(default_factory=Counter[str])
    compared: int = 0
    wrong: list[str] = field(default_factory=list[str])


class Subject:
    """One command, in a folder of its own."""

    def __init__(self, name: str, words: list[str], folder: Path) -> None:
        self.name, self.words, self.folder = name, words, folder
        self.record = Record()
        self._dice = random.Random(name)  # noqa: S311 (to be repeated, not secret)
        self._mark = f"{os.getpid()} {name}"

    def prepare(self) -> None:
        """Do it once in peace."""
        _furnish(self.folder)
        code, said = self._wait(self._start())
        if code:
            sys.exit(f"{self.name} ended with {code}:\n{said}")
        self.whole = outcome(self.folder)

    def soak(self, until: float) -> None:
        """Begin, kill and go on until the time is up; what is begun then is finished in peace."""
        while time.monotonic() < until:
            shutil.rmtree(self.folder / "outputs")
            while self._once(kill=time.monotonic() < until):
                pass
            self.record.compared += 1
            if (found := outcome(self.folder)) != self.whole:
                self.record.wrong.append(f"another result: {_apart(self.whole, found)}")

    def _once(self, *, kill: bool) -> bool:
        """Start, perhaps kill; say whether there is more to do."""
        process = self._start()
        if kill:
            self._kill(process)
        code, said = self._wait(process)
        self.record.codes[str(code)] += 1
        if "Traceback" in said:
            self.record.wrong.append(f"a traceback: {said[-2000:]}")
        if code not in CODES:
            self.record.wrong.append(f"exit code {code}: {said[-2000:]}")
        if left := self._left(seconds=20):
            self.record.wrong.append(f"left behind: {left}")
            for process_id in left:
                with suppress(ProcessLookupError):
                    os.kill(process_id, signal.SIGKILL)
        return code != 0

    def _kill(self, process: "subprocess.Popen[str]") -> None:
        """Kill it while it starts, or some moments after it has trained on."""
        at_work = self._dice.random() < 0.8
        before, end = self._written(), time.monotonic() + 60
        while at_work and process.poll() is None and self._written() == before:
            if time.monotonic() > end:
                break
            time.sleep(0.01)
        time.sleep(self._dice.random() * (0.6 if at_work else 3.0))
        number = self._dice.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
        group = self._dice.random() < 0.3
        with suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(process.pid, number)
            self.record.kills[f"{number.name}{' to all' if group else ''}"] += 1

    def _written(self) -> list[int]:
        """Tell of checkpoints and epochs, so that training can be seen to go on."""
        found: list[int] = []
        for path in self.folder.glob("outputs/*/*/*"):
            if path.name in {"last.ckpt", "metrics.jsonl"}:
                with suppress(OSError):
                    found.append(path.stat().st_mtime_ns)
        return sorted(found)

    def _start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(  # noqa: S603 (our own)
            [sys.executable, "-m", "etude", *self.words],
            cwd=self.folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", MARK: self._mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    @staticmethod
    def _wait(process: "subprocess.Popen[str]") -> tuple[int, str]:
        said, _ = process.communicate(timeout=600)
        return process.returncode, said

    def _left(self, seconds: float) -> list[int]:
        """Find what a command has left behind; workers need some seconds to see that it is gone."""
        end = time.monotonic() + seconds
        while (found := _marked(self._mark)) and time.monotonic() < end:
            time.sleep(0.1)
        return found


def outcome(folder: Path) -> dict[str, Any]:
    """Give all that a command made that must not depend on when it was cut."""
    found: dict[str, Any] = {}
    for path in sorted(folder.glob("outputs/*/*/summary.json")):
        summary = json.loads(path.read_text(encoding="utf-8"))
        best = path.parent / "best.safetensors"
        found[path.parent.name] = {
            "state": summary["state"],
            "results": [summary.get("final"), summary.get("best")],
            "epochs": rows_of(path.parent),
            "weights": hashlib.sha256(tensors_of(best)).hexdigest() if best.exists() else None,
        }
    return found


def _apart(one: dict[str, Any], other: dict[str, Any]) -> str:
    return ", ".join(
        f"{name}: {key}"
        for name in sorted({*one, *other})
        for key in ("state", "results", "epochs", "weights")
        if one.get(name, {}).get(key) != other.get(name, {}).get(key)
    )


def _marked(mark: str) -> list[int]:
    """List the processes that have a mark in their environment."""
    wanted = f"{MARK}={mark}".encode()
    found: list[int] = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (path / "environ").read_bytes().split(b"\0"):
                found.append(int(path.name))
    return found


def _furnish(folder: Path) -> None:
    """Put the study's file and a folder of images where the commands look for them."""
    from PIL import Image  # noqa: PLC0415 (not needed to read this file's help)
    from sklearn.datasets import load_digits  # noqa: PLC0415

    (folder / "conf" / "study").mkdir(parents=True)
    (folder / "conf" / "study" / "rates.yaml").write_text(STUDY, encoding="utf-8")
    images, labels = load_digits(return_X_y=True)
    for index in range(240):
        part = "test" if index % 4 == 0 else "train"
        place = folder / "images" / part / str(labels[index] % 3)
        place.mkdir(parents=True, exist_ok=True)
        grey = (images[index].reshape(8, 8) * 15).astype("uint8")
        Image.fromarray(grey).resize((28, 28)).convert("RGB").save(place / f"{index}.png")


def _lane(subjects: list[Subject], seconds: float) -> None:
    for subject in subjects:
        subject.soak(time.monotonic() + seconds / len(subjects))


def _show(subjects: list[Subject], seconds: float) -> str:
    head = ["", "kills", *SIGNALS, "ends compared", "wrong"]
    rows = [
        [s.name, str(s.record.kills.total()), *(_count(s.record, name) for name in SIGNALS),
         str(s.record.compared), str(len(s.record.wrong))]
        for s in subjects
    ]  # fmt: skip
    return f"### Killed for {seconds:,.0f} s\n\n{table(head, rows)}\n"


def _count(record: Record, name: str) -> str:
    return str(sum(count for kind, count in record.kills.items() if kind.split()[0] == name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("seconds", nargs="?", type=float, default=SECONDS)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder:
        lanes = [
            [Subject(name, words, Path(folder, name.replace(" ", "_")))
             for name, words in lane.items()]
            for lane in LANES
        ]  # fmt: skip
        subjects = [subject for lane in lanes for subject in lane]
        for subject in subjects:
            subject.prepare()
        work: list[Callable[[], None]] = [lambda lane=lane: _lane(lane, seconds) for lane in lanes]
        threads = [threading.Thread(target=each) for each in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    text = _show(subjects, seconds)
    print(text)
    wrong = [f"{s.name}: {line}" for s in subjects for line in s.record.wrong]
    print("\n".join(wrong))
    save("soak", {s.name: vars(s.record) for s in subjects} | {"seconds": seconds}, text)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
