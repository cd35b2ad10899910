"""A search whose trials the machine ends: they are left for the same command."""

import errno
import pickle
import random
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
from conftest import SMALL

pytest.importorskip("optuna", reason="etude[search] is not installed")

import torch
from test_search_cut import outcomes
from test_search_trials import bowl, search_in, states, suggestions

from etude.launch.job import JobFailed
from etude.search import report
from etude.search.outcome import DiskFull, Unfinished, unfinished

Etude = Callable[..., int]
Output = pytest.CaptureFixture[str]


def killed() -> JobFailed:
    error = JobFailed("3: lr=0.1: killed by signal 9 (SIGKILL)")
    error.unfinished = True
    return error


FULL = OSError(errno.ENOSPC, "No space left on device")
PASSING = [
    killed(),
    FULL,
    MemoryError(),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."),
    BrokenProcessPool("a worker was killed"),
    Unfinished(),
]
LASTING = [
    JobFailed("3: lr=0.1: took longer than timeout_minutes"),
    ValueError("out of memory of the past"),
    RuntimeError("Caught ValueError in DataLoader worker process 0."),
    FileNotFoundError(errno.ENOENT, "No such file or directory"),
    None,
    0.5,
]


def test_what_a_machine_did_is_told_from_what_a_job_came_to():
    assert all(isinstance(unfinished(outcome), Unfinished) for outcome in PASSING)
    assert not [outcome for outcome in LASTING if unfinished(outcome) is not None]
    assert isinstance(pickle.loads(pickle.dumps(unfinished(FULL))), DiskFull)  # noqa: S301
    assert str(unfinished(killed())) == "3: lr=0.1: killed by signal 9 (SIGKILL)"


@pytest.mark.parametrize("error", PASSING[:4])
@pytest.mark.parametrize("refilled", [False, True])
def test_a_trial_that_the_machine_ended_is_gone_on_with_by_the_next_command(
    tmp_path: Path, error: Exception, refilled: bool
):
    def job(words: list[str], number: int) -> float:
        if number == 2 and not ran.count(2):
            ran.append(number)
            raise error
        return bowl(words, number)

    def drive() -> Any:
        search, outcome = search_in(tmp_path / "ours", job, n_trials=5), None
        if not refilled:
            search.run()
            return search
        jobs = search.exchange([])
        while jobs:
            own = jobs.pop()
            try:
                outcome = job(own.words, own.number)
            except Exception as raised:  # noqa: BLE001 (as launchers do)
                outcome = raised
            jobs += search.exchange([(own.number, outcome)])
        return search

    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    ran: list[int] = []
    first = drive()
    full = error is FULL  # nobody else would come to an end
    assert states(first) == ["COMPLETE", "COMPLETE", "RUNNING", *([] if full else ["COMPLETE"] * 2)]
    told = list(map(str, report.report(first, tmp_path)))
    assert f"{3 if full else 1} of 5 trials did not finish; the same command goes on" in told
    second = drive()
    whole = search_in(tmp_path / "theirs", n_trials=5)
    whole.run()
    assert suggestions(second) == suggestions(whole)
    assert [t.value for t in second.trials] == [t.value for t in whole.trials]
    assert not [part for part in report.report(second, tmp_path) if "did not" in str(part)]


def test_a_full_disk_begins_no_trial_and_changes_no_suggestion(tmp_path: Path):
    chance = random.Random(5)

    def job(words: list[str], number: int) -> float:
        if chance.random() < 0.2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return bowl(words, number)

    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    whole = search_in(tmp_path / "theirs", n_trials=25)
    whole.run()
    for _ in range(100):
        ours = search_in(tmp_path / "ours", job, n_trials=25)
        ours.run()
        if states(ours) == ["COMPLETE"] * 25:
            break
    assert suggestions(ours) == suggestions(whole)


MODEL = """
import errno, os
from pathlib import Path
from torch import nn

class Tiny(nn.Module):
    def __init__(self, num_classes, input_size):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(input_size ** 2, num_classes))
        self.steps = 0

    def forward(self, images):
        self.steps += self.training
        fault = Path("fault")
        if self.steps == 9 and fault.exists() and len(list(Path("ours").glob("*/*/*.json"))) > 3:
            do = fault.read_text()
            fault.unlink()
            if do == "kill":
                os.kill(os.getpid(), 9)
            raise {"full": OSError(errno.ENOSPC, "No space left on device"),
                   "memory": MemoryError("no more"), "code": ValueError("no such thing")}[do]
        return self.layers(images)
"""


@pytest.fixture
def faulty(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words of a search over runs of a network that does what the file `fault` says, once."""
    monkeypatch.syspath_prepend(workplace)
    (workplace / "mynets.py").write_text(MODEL)
    (workplace / "conf" / "model").mkdir(parents=True)
    (workplace / "conf" / "model" / "tiny.yaml").write_text("_target_: mynets.Tiny\n")
    return ["--config-dir=conf", "-m", "hydra/sweeper=search", "hydra.sweeper.n_trials=3",
            "optimizer.lr=interval(0.001,0.01)", "model=tiny", "packages=[mynets]", "device=cpu",
            "record.tensorboard=false", "train.batch_size=32", *SMALL]  # fmt: skip


@pytest.mark.slow  # three searches, on two launchers
@pytest.mark.parametrize(
    ("launcher", "fault"),
    [("local", "kill"), ("local", "full"), ("basic", "full"), ("basic", "memory")],
)
def test_a_search_goes_on_with_the_run_that_a_fault_ended_to_the_same_bits(
    etude: Etude, workplace: Path, faulty: list[str], capsys: Output,
    monkeypatch: pytest.MonkeyPatch, launcher: str, fault: str,
):  # fmt: skip
    words = [*faulty, f"hydra/launcher={launcher}"]
    monkeypatch.setenv("ETUDE_OUTPUTS", "theirs")
    assert etude(*words) == 0
    monkeypatch.setenv("ETUDE_OUTPUTS", "ours")
    Path("fault").write_text(fault)
    capsys.readouterr()
    assert etude(*words) == 1
    output = capsys.readouterr().out
    assert "trial 1 did not finish: " in output
    assert "JobFailed" not in output
    left = 2 if fault == "full" else 1
    assert f"{left} of 3 trials did not finish; the same command goes on" in output
    assert etude(*words) == 0
    output = capsys.readouterr().out
    assert "1 half done" in output
    assert "did not finish" not in output
    ours, theirs = (
        [each[:4] for each in outcomes(next((workplace / name).glob("*/search.journal")).parent)]
        for name in ("ours", "theirs")
    )
    assert ours == theirs
    for path in Path("theirs").glob("*/*/best.safetensors"):
        assert Path("ours", *path.parts[1:]).read_bytes() == path.read_bytes()


def test_a_run_that_an_error_in_its_code_ended_has_failed_for_good(
    etude: Etude, faulty: list[str], capsys: Output, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ETUDE_OUTPUTS", "ours")
    Path("fault").write_text("code")
    for _ in range(2):
        assert etude(*faulty, "hydra/launcher=basic") == 0
        output = capsys.readouterr().out
        assert "3 trials: 2 complete, 1 failed" in output
        assert "did not finish" not in output
