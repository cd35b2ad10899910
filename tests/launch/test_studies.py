"""Étude's own runs, launched: whatever launcher, whatever is killed, the same results."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import MEASURED, summary_of
from launch.processes import children_of, processes_below, wait_for

from etude.runs.records import read_rows

Etude = Callable[..., int]
Output = pytest.CaptureFixture[str]

QUICK = ["dataset.limit_train=100", "dataset.limit_test=20", "train.epochs=1",
         "record.curves=false", "record.tensorboard=false"]  # fmt: skip
ONE_SLOT = ["hydra.launcher.jobs_per_device=1", "hydra.launcher.threads=1"]
TWO_SLOTS = ["hydra.launcher.jobs_per_device=2", "hydra.launcher.threads=1"]


def start(workplace: Path, *words: str) -> "subprocess.Popen[str]":
    """Begin the command in a process of its own, with one thread."""
    return subprocess.Popen(
        [sys.executable, "-m", "etude", *words],
        cwd=workplace,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(workplace: Path, *words: str) -> tuple[int, str]:
    process = start(workplace, *words)
    output, _ = process.communicate(timeout=300)
    return process.returncode, output


def results(runs: Path) -> dict[str, Any]:
    """All of a study's results that must not depend on how it was launched, by run."""
    found: dict[str, Any] = {}
    for path in sorted(runs.glob("*/summary.json")):
        summary = summary_of(path.parent)
        rows = read_rows(path.parent)
        found[path.parent.name] = [
            [{key: row[key] for key in row.keys() - MEASURED} for row in rows],
            {key: summary[key] for key in ("state", "final", "best", "parameters", "fingerprint")},
            (path.parent / "best.safetensors").read_bytes(),
        ]
    return found


def study(workplace: Path, name: str, axes: str) -> list[str]:
    folder = workplace / "conf" / "study"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(
        "question: Which?\nclaim: The first.\nsource: nobody\nseeds: [0, 1]\n"
        f"full: {{experiment: lenet5_digits, baseline: a, axes: {{which: {axes}}}}}\n"
    )
    return ["--config-dir=conf", f"study={name}", *QUICK]


# --- the same through every launcher ---------------------------------------------------------
@pytest.mark.slow
def test_a_study_gives_the_same_bits_through_every_launcher(tmp_path: Path):
    launchers = {
        "basic": ["hydra/launcher=basic"],
        "one": ONE_SLOT,
        "two": TWO_SLOTS,
    }
    found = {}
    for name, words in launchers.items():
        workplace = tmp_path / name
        workplace.mkdir()
        given = study(workplace, "rates", "{a: [], b: [optimizer.lr=0.01]}")
        code, output = run(workplace, *given, *words, "train.epochs=3", "augment=shift")
        assert code == 0, output
        found[name] = results(workplace / "outputs" / "rates")
    assert len(found["basic"]) == 4
    assert found["basic"] == found["one"] == found["two"]


def test_a_study_begun_in_one_launcher_is_finished_in_another(etude: Etude, workplace: Path):
    words = study(workplace, "rates", "{a: [], b: [optimizer.lr=0.01]}")
    assert etude(*words, "study.seeds=[0]", "hydra/launcher=basic") == 0
    before = {p: p.stat().st_mtime_ns for p in workplace.glob("outputs/rates/*/summary.json")}
    assert etude(*words) == 0
    assert len(list(workplace.glob("outputs/rates/*/summary.json"))) == 4
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())


def test_a_run_begun_afresh_has_the_log_of_the_process_that_makes_it(etude: Etude, workplace: Path):
    for words in ([], ["fresh=true"]):
        assert etude("-m", "seed=0", *QUICK, *words) == 0
    (folder,) = (path.parent for path in workplace.glob("outputs/*/*/run.log")
                 if "replaced" not in path.parent.name)  # fmt: skip
    assert (folder / "output.log").read_text().count("at the end") == 2


# --- what becomes of failures ----------------------------------------------------------------
OWN_MODEL = """
import os, sys
from torch import nn

class Tiny(nn.Module):
    def __init__(self, num_classes, input_size, do="work"):
        super().__init__()
        self.do = do
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(input_size ** 2, num_classes))

    def forward(self, images):
        if self.do == "raise":
            raise ValueError("no such thing")
        if self.do == "exit":
            sys.exit(3)
        if self.do == "kill":
            os.kill(os.getpid(), 9)
        return self.layers(images)
"""


def eight(workplace: Path, *bad: str) -> list[str]:
    """A study of eight runs, of which some do not work; the others differ in their rate."""
    (workplace / "mynets.py").write_text(OWN_MODEL)
    (workplace / "conf" / "model").mkdir(parents=True)
    (workplace / "conf" / "model" / "tiny.yaml").write_text("_target_: mynets.Tiny\ndo: work\n")
    rates = ["optimizer.lr=-1" if do == "lr" else f"model.do={do}" for do in bad]
    rates += [f"optimizer.lr=0.00{i + 1}" for i in range(8 - len(bad))]
    axes = ", ".join(f"{'abcdefgh'[i]}: ['{word}']" for i, word in enumerate(rates))
    words = study(workplace, "eight", f"{{{axes}}}")
    return [*words, "study.seeds=[0]", "model=tiny", "packages=[mynets]"]


@pytest.fixture
def own_models(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(workplace)
    monkeypatch.setenv("PYTHONPATH", str(workplace))
    return workplace


def states(workplace: Path) -> list[str]:
    paths = workplace.glob("outputs/eight/*/summary.json")
    return sorted(summary_of(path.parent)["state"] for path in paths)


@pytest.mark.parametrize("launcher", ["basic", "local"])
def test_a_bad_configuration_among_eight_starts_none(
    etude: Etude, own_models: Path, capsys: Output, launcher: str
):
    assert etude(*eight(own_models, "lr"), f"hydra/launcher={launcher}") == 2
    assert "optimizer.lr=-1" in capsys.readouterr().err
    assert not (own_models / "outputs").exists()


@pytest.mark.parametrize("launcher", ["basic", "local"])
def test_two_that_raise_and_exit_among_eight_fail_alone(
    etude: Etude, own_models: Path, capsys: Output, launcher: str
):
    assert etude(*eight(own_models, "raise", "exit"), f"hydra/launcher={launcher}") == 1
    output, errors = capsys.readouterr()
    assert states(own_models) == ["failed"] * 2 + ["finished"] * 6
    assert "2 of 8 runs did not finish" in errors
    said = output if launcher == "local" else errors
    assert "ValueError: no such thing" in said
    assert "SystemExit: 3" in said
    logs = [path.read_text() for path in own_models.glob("outputs/eight/*/run.log")]
    assert sum("Traceback" in log for log in logs) == 2
    assert all("images to train on" in log for log in logs)


def test_one_that_is_killed_among_eight_takes_no_other_along(
    etude: Etude, own_models: Path, capsys: Output
):
    assert etude(*eight(own_models, "kill")) == 1
    output, errors = capsys.readouterr()
    assert states(own_models) == ["finished"] * 7 + ["running"]
    assert "killed by signal 9 (SIGKILL)" in output
    assert "1 cut off" in output
    assert "1 of 8 runs did not finish" in errors


def test_a_killed_job_ends_the_basic_launcher_and_the_same_command_goes_on(own_models: Path):
    words = eight(own_models, "kill")
    assert run(own_models, *words, "hydra/launcher=basic")[0] == -signal.SIGKILL
    assert run(own_models, *words)[0] == 1
    assert states(own_models) == ["finished"] * 7 + ["running"]


def test_an_arm_that_needs_a_failed_one_is_not_started(
    etude: Etude, own_models: Path, capsys: Output
):
    words = eight(own_models, "raise")
    path = own_models / "conf" / "study" / "eight.yaml"
    path.write_text(path.read_text().replace("['optimizer.lr=0.001']", "['init.weights=@a']"))
    assert etude(*words) == 1
    output = capsys.readouterr().out
    assert "needs a, seed 0, which did not finish" in " ".join(output.split())
    assert states(own_models) == ["failed"] + ["finished"] * 6


# --- stopping and killing --------------------------------------------------------------------
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_stopped_study_saves_and_goes_on(workplace: Path, number: signal.Signals, code: int):
    words = ["-m", "seed=0,1", *QUICK, "train.epochs=300", *TWO_SLOTS]
    process = start(workplace, *words)
    wait_for(lambda: len(list(workplace.glob("outputs/*/*/metrics.jsonl"))) == 2, seconds=60)
    process.send_signal(number)
    begun = time.monotonic()
    output, _ = process.communicate(timeout=30)
    assert process.returncode == code, output
    assert time.monotonic() - begun < 10
    assert "2 jobs: 2 preempted" in output
    runs = [path.parent for path in workplace.glob("outputs/*/*/summary.json")]
    assert [summary_of(run)["state"] for run in runs] == ["preempted"] * 2
    assert all((run / "last.ckpt").exists() for run in runs)
    wait_for(lambda: not processes_below(workplace), seconds=5)


TWELVE = ["-m", "seed=range(12)", "experiment=lenet5_digits", *QUICK, *TWO_SLOTS,
          "train.epochs=25", "augment=shift", "hydra.launcher.retries=3"]  # fmt: skip
KILLS = 30


@pytest.mark.slow
def test_a_study_survives_thirty_kills_of_its_jobs_and_of_its_launcher(workplace: Path):
    assert run(workplace, *TWELVE, "name=whole")[0] == 0
    words = [*TWELVE, "name=cut", "train.checkpoint_steps=10"]
    seed = random.randrange(10**6)
    print(f"random.Random({seed})")  # noqa: T201 (to repeat a failure)
    chance, kills, code = random.Random(seed), 0, 1
    while code != 0:
        process = start(workplace, *words)
        while process.poll() is None and kills < KILLS:
            time.sleep(chance.uniform(0.05, 0.4))
            kills += kill_something(process, chance)
        process.communicate(timeout=120)
        code = process.returncode
    assert kills == KILLS
    whole, cut = (results(workplace / "outputs" / name) for name in ("whole", "cut"))
    assert len(whole) == 12
    assert [x[:2] for x in cut.values()] == [x[:2] for x in whole.values()]
    assert cut == whole
    assert [row["epoch"] for row in next(iter(cut.values()))[0]] == list(range(1, 26))
    wait_for(lambda: not processes_below(workplace), seconds=15)
    assert not list(workplace.glob("outputs/cut/*/.lock"))
    assert not list(workplace.glob("outputs/cut/*/.*.tmp"))


def kill_something(process: "subprocess.Popen[str]", chance: random.Random) -> int:
    """Kill a job or, one time in six, the launcher, once jobs are running; say how many."""
    jobs = [job for server in children_of(process.pid) for job in children_of(server)]
    if not jobs:
        return 0
    victim = process.pid if chance.random() < 1 / 6 else chance.choice(jobs)
    os.kill(victim, signal.SIGKILL)
    return 1


# --- looking at a study ----------------------------------------------------------------------
def test_a_dry_run_lists_what_is_done_half_done_and_to_come_and_writes_nothing(
    etude: Etude, workplace: Path, capsys: Output
):
    words = study(workplace, "rates", "{a: [], b: [optimizer.lr=0.01]}")
    assert etude(*words, "--dry-run") == 0
    output = capsys.readouterr().out
    assert "4 runs: 4 not started; about" in output
    assert not (workplace / "outputs").exists()
    assert etude(*words) == 0
    half = next(iter(workplace.glob("outputs/rates/*/summary.json")))
    half.write_text(json.dumps(summary_of(half.parent) | {"state": "preempted"}))
    (half.parent / "metrics.jsonl").write_text("")
    capsys.readouterr()
    assert etude(*words, "--dry-run") == 0
    output = capsys.readouterr().out
    assert "preempted    0/1" in output
    assert "3 finished" in output
    assert summary_of(half.parent)["state"] == "preempted"


def test_a_dry_run_of_one_run_says_where_it_stands(etude: Etude, workplace: Path, capsys: Output):
    assert etude("--dry-run", *QUICK) == 0
    assert "1 run: 1 not started" in capsys.readouterr().out
    assert list(workplace.iterdir()) == []
