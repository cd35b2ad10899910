"""The same study through every launcher: the same runs, to the bit, and the same verdicts."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import summary_of
from test_resume import assert_same_run

from etude.cli import refusals
from etude.runs.claim import wait_while_claimed
from etude.runs.records import read_rows

WORDS = [
    "--config-dir=conf", "dataset.limit_train=300", "dataset.limit_test=60", "train.epochs=8",
    "device=cpu", "precision=float32", "record.curves=false", "record.tensorboard=false",
    "train.checkpoint_steps=5",
]  # fmt: skip
FAULTY = '''
import os, signal, sys
from torch import nn

class Net(nn.Module):
    """A network whose 40th batch, or a later one after a resume, is its last."""

    def __init__(self, num_classes, input_size, how):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(input_size**2, num_classes))
        self.how, self.calls = how, 0

    def forward(self, images):
        self.calls += 1
        if self.calls > 40 and self.how == "raise":
            raise ValueError("as it was told")
        if self.calls > 40 and self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.calls > 40 and self.how == "exit":
            sys.exit(3)
        return self.layers(images)
'''


def needs(plugin: str, extra: str) -> pytest.MarkDecorator:
    missing = find_spec(f"hydra_plugins.{plugin}") is None
    return pytest.mark.skipif(missing, reason=f"etude[{extra}] is not installed")


SUBMITIT = pytest.param(
    ["hydra/launcher=slurm_local"],
    id="submitit",
    marks=[pytest.mark.slow, needs("hydra_submitit_launcher", "slurm")],
)
Etude = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def etude_in(workplace: Path) -> Etude:
    """The command in a process of its own, with results below the folder that is named."""
    for name, text in (
        ("study/rates", "question: Which?\nclaim: The lower.\nsource: nobody\nseeds: [0, 1]\n"
         "full: {experiment: lenet5_digits, baseline: low, axes: {rate: "
         "{low: [optimizer.lr=0.001], high: [optimizer.lr=0.01]}}}\n"),
        ("study/faults", "question: What?\nclaim: Each its own.\nsource: nobody\nseeds: [0]\n"
         "full: {experiment: lenet5_digits, baseline: none, words: [model=faulty], axes: {how: "
         "{raise: [model.how=raise], kill: [model.how=kill], exit: [model.how=exit], "
         "none: [model.how=none]}}}\n"),
        ("model/faulty", "_target_: faulty.Net\nhow: none\n"),
    ):  # fmt: skip
        path = workplace / "conf" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (workplace / "faulty.py").write_text(FAULTY)
    ours = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(workplace)}

    def command(outputs: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "etude", *WORDS, *words],
            env={**os.environ, **ours, "ETUDE_OUTPUTS": outputs},
            capture_output=True, text=True, timeout=280, check=False,
        )  # fmt: skip

    return command


@pytest.mark.parametrize("launcher", [SUBMITIT])
def test_a_study_has_the_same_bits_through_every_launcher_and_goes_on_where_it_was(
    etude_in: Etude, workplace: Path, launcher: list[str]
):
    assert etude_in("basic", "study=rates").returncode == 0
    ours, theirs = workplace / "basic" / "rates", workplace / "other" / "rates"
    names = sorted(path.parent.name for path in ours.glob("*/summary.json"))
    finished, half_done = names[:2]
    theirs.mkdir(parents=True)
    shutil.copytree(ours / finished, theirs / finished)
    shutil.copytree(ours / half_done, theirs / half_done)
    rewind(workplace, theirs / half_done)
    before = (theirs / finished / "summary.json").stat().st_mtime_ns
    done = etude_in("other", "study=rates", *launcher)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in names:
        assert_same_run(ours / name, theirs / name)
    assert (theirs / finished / "summary.json").stat().st_mtime_ns == before
    assert "going on from epoch" in (theirs / half_done / "run.log").read_text()
    again = etude_in("other", "study=rates", *launcher)
    assert again.returncode == 0
    assert "done: 4" in again.stdout


def rewind(workplace: Path, folder: Path) -> None:
    """Train a run again up to a cut: kill it once it has two epochs behind it."""
    seed = re.search(r"seed=(\d)", folder.name)
    rate = re.search(r"lr=([\d.]+)", folder.name)
    assert seed
    shutil.rmtree(folder)
    words = ["experiment=lenet5_digits", "name=rates", f"seed={seed[1]}"]
    words += [f"optimizer.lr={rate[1] if rate else '0.001'}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "etude", *WORDS, *words],
        env={**os.environ, "OMP_NUM_THREADS": "1", "ETUDE_OUTPUTS": "other"},
        cwd=workplace,
    )
    while len(read_rows(folder)) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert summary_of(folder)["state"] == "running"


@pytest.mark.parametrize("launcher", [SUBMITIT])
def test_jobs_that_fail_in_every_way_leave_the_others_alone(
    etude_in: Etude, workplace: Path, launcher: list[str]
):
    words = ["study=faults", "packages=[faulty]", *launcher]
    refused = etude_in("other", *words, "train.batch_size=-1")
    assert refused.returncode == 2
    assert "train.batch_size=-1 must be" in refused.stderr
    assert not (workplace / "other").exists()
    done = etude_in("other", *words)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the launcher lost a job" in done.stderr
    assert "Traceback" not in done.stderr
    folders = {how_of(path): path.parent for path in workplace.glob("other/faults/*/config.yaml")}
    assert set(folders) == {"raise", "kill", "exit", "none"}
    for folder in folders.values():
        wait_while_claimed(folder)
    summaries = {how: summary_of(folder) for how, folder in folders.items()}
    assert {how: summary["state"] for how, summary in summaries.items()} == {
        "raise": "failed", "kill": "running", "exit": "failed", "none": "finished"
    }  # fmt: skip
    assert summaries["raise"]["error"] == "ValueError: as it was told"
    assert summaries["exit"]["error"] == "SystemExit: 3"
    assert "ValueError: as it was told" in (folders["raise"] / "run.log").read_text()
    again = etude_in("other", *words)
    assert again.returncode == 1
    assert "done: 1" in again.stdout


def how_of(config: Path) -> str:
    found = re.search(r"how: (\w+)", config.read_text())
    assert found
    return found[1]


@pytest.mark.slow
@needs("hydra_submitit_launcher", "slurm")
def test_a_job_that_slurm_takes_its_node_from_saves_and_is_queued_again(
    etude_in: Etude, workplace: Path
):
    words = ["experiment=lenet5_digits", "seed=0,1", "train.epochs=60"]
    assert etude_in("basic", "-m", *words).returncode == 0
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ETUDE_OUTPUTS": "other"}
    command = [sys.executable, "-m", "etude", *WORDS, "-m", *words, "hydra/launcher=slurm_local"]
    process = subprocess.Popen(command, env=environment, cwd=workplace, stdout=subprocess.PIPE)
    folder = workplace / "other" / "lenet5_digits"
    while not (begun := [path for path in folder.glob("*/metrics.jsonl") if path.stat().st_size]):
        assert process.poll() is None
        time.sleep(0.02)
    pid = pid_at_work_in(begun[0].parent)
    # What SLURM sends when it takes a node: the second asks to queue again, the first for nothing.
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGUSR2)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    assert "going on from epoch" in (begun[0].parent / "run.log").read_text()
    environments = json.loads((begun[0].parent / "environment.json").read_text())
    assert len(environments["resumed"]) == 1
    for path in (workplace / "basic" / "lenet5_digits").glob("*/summary.json"):
        assert_same_run(path.parent, folder / path.parent.name)


def pid_at_work_in(folder: Path) -> int:
    """The process that has a run's log open."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if link.readlink() == folder / "run.log":
                return int(link.parts[2])
        except OSError:
            continue
    raise AssertionError(folder)


def test_a_launcher_that_is_not_installed_is_named_with_the_way_to_install_it(
    etude: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(refusals, "find_spec", lambda _: None)
    assert etude("-m", "hydra/launcher=submitit_none", "seed=0,1") == 2
    assert "pip install 'etude[slurm]'" in capsys.readouterr().err
