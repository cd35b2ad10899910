"""The launcher for SLURM, where there is none: programs of its names stand in for it."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from conftest import SMALL
from launch.processes import wait_for
from launch.slurm_stand_in import install

from etude.launch import squeue
from etude.launch.job import Entry, Job
from etude.launch.squeue import Queue, ask, short
from etude.launch.task import About
from etude.runs.state import RunState

pytest.importorskip("submitit", reason="etude[slurm] is not installed")

SWEEP = ["-m", "seed=0,1", "device=cpu", "record.tensorboard=false", *SMALL]
SLURM = ["hydra/launcher=slurm", "hydra.launcher.gpus_per_node=0"]


@pytest.fixture
def stand_in(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A queue of jobs: a file for each, and `hold` while none is to begin."""
    for name, value in install(workplace).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return workplace / "queue"


def start(*words: str, sweep: Sequence[str] = SWEEP) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "etude", *sweep, *SLURM, *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_sweep_tells_its_states_as_they_come_and_nothing_of_submitits(stand_in: Path):
    process = start()
    told, complaints = process.communicate(timeout=120)
    assert process.returncode == 0, told + complaints
    ended = re.findall(r"^finished   (seed=\d)  accuracy ", told, re.MULTILINE)
    assert sorted(ended) == ["seed=0", "seed=1"]
    assert complaints == ""
    assert "submitit" not in told
    assert not (stand_in / "accounting was asked").exists()
    again = start()
    told, _ = again.communicate(timeout=60)
    assert "2 jobs: 2 finished before" in told
    assert len(list(stand_in.glob("*.job"))) == 2  # nothing was queued up for that


def test_ctrl_c_says_what_goes_on_and_the_same_command_takes_it_up(stand_in: Path):
    (stand_in / "hold").touch()
    process = start()
    wait_for(lambda: len(list(stand_in.glob("*.job"))) == 2)
    time.sleep(1)  # it hears signals from before it submits
    process.send_signal(signal.SIGINT)
    told, complaints = process.communicate(timeout=60)
    assert process.returncode == 130, told + complaints
    assert complaints == ""
    words = told.partition("SLURM goes on with 2 of 2 runs, as 1_[0-1]:")[2]
    assert re.search(r"squeue -u \w+ ", words)
    assert "etude-status outputs/lenet5_digits " in words
    assert "scancel '1_[0-1]'" in words
    assert "the same command waits for them, and takes up their results" in words
    again = start()
    assert again.stdout
    assert again.stdout.readline() == "in SLURM's queue since before: 1_[0-1]\n"
    (stand_in / "hold").unlink()
    told, complaints = again.communicate(timeout=120)
    assert again.returncode == 0, told + complaints
    assert len(list(stand_in.glob("*.job"))) == 2


def test_a_sweep_is_left_to_slurms_queue_and_taken_up(stand_in: Path, workplace: Path):
    (stand_in / "hold").touch()
    process = start("--detach")
    told, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, told + complaints
    assert complaints == ""
    assert "2 runs: 2 not started" in told
    assert "SLURM goes on with 2 of 2 runs, as 1_[0-1]:" in told
    assert "the same command waits for them, and takes up their results" in told
    again, _ = start("--detach").communicate(timeout=60)
    assert "in SLURM's queue since before: 1_[0-1]\n" in again
    (stand_in / "hold").unlink()
    told, complaints = start().communicate(timeout=120)
    assert "2 jobs: 2 finished" in told
    assert len(list(stand_in.glob("*.job"))) == 2
    done, complaints = start("--detach").communicate(timeout=60)
    assert "2 jobs: 2 finished before" in done
    assert complaints == ""


def test_a_search_whose_trials_somebody_must_give_is_left_to_this_machines_queue(
    stand_in: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_STATE_HOME", str(workplace / "state"))
    queue = [sys.executable, "-c", "from etude.cli.entry import queue; raise SystemExit(queue())"]
    subprocess.run([*queue, "pause"], check=True, stdout=subprocess.DEVNULL)
    process = start("--detach", sweep=["study=lenet_search", "device=cpu", *SMALL])
    told, complaints = process.communicate(timeout=60)
    assert process.returncode == 0, told + complaints
    assert "command 1 is in the queue" in told
    assert not list(stand_in.glob("*.job"))


@pytest.mark.slow  # half a minute of starting commands
def test_a_searchs_trials_are_queued_as_others_end_and_taken_up_after_ctrl_c(stand_in: Path):
    pytest.importorskip("optuna", reason="etude[search] is not installed")
    search = ["-m", "hydra/sweeper=search", "hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=2",
              "optimizer.lr=interval(0.001,0.01)", "device=cpu", *SMALL]  # fmt: skip
    (stand_in / "hold").touch()
    process = start(sweep=search)
    wait_for(lambda: len(list(stand_in.glob("*.job"))) == 2)
    time.sleep(1)  # it hears signals from before it submits
    process.send_signal(signal.SIGINT)
    told, complaints = process.communicate(timeout=60)
    assert process.returncode == 130, told + complaints
    assert "SLURM goes on with 2 of 2 runs" in told
    (stand_in / "hold").unlink()
    told, complaints = (again := start(sweep=search)).communicate(timeout=120)
    assert again.returncode == 0, told + complaints
    assert "search: 0 of 3 trials done, 2 half done" in told
    assert "3 trials: 3 complete" in told
    arrays = [path.stem.partition("_")[0] for path in stand_in.glob("*.job")]
    assert len(arrays) == 3  # nothing was queued twice
    assert arrays.count("1") == 2  # the third when one of the first two had ended


def test_what_slurm_refuses_is_told_in_a_line(
    stand_in: Path, etude: Callable[..., int], capsys: pytest.CaptureFixture[str]
):
    assert etude(*SWEEP, *SLURM, "hydra.launcher.partition=nowhere") == 2
    said = capsys.readouterr().err.strip()
    assert said == (
        "etude: SLURM refused the jobs: sbatch: error: invalid partition specified: nowhere"
    )


def test_a_machine_without_slurm_is_told_the_way_out(
    etude: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    workplace: Path,
):
    monkeypatch.setenv("PATH", str(workplace))
    assert etude(*SWEEP, *SLURM) == 2
    assert "hydra/launcher=slurm_local" in capsys.readouterr().err


def test_jobs_are_written_as_slurms_commands_take_them():
    assert short(["12_3", "12_10", "12_4", "12_5", "13", "12_0"]) == "12_[0,3-5,10],13"
    assert short(["12_3"]) == "12_3"


def test_a_controller_that_does_not_answer_leaves_the_jobs_where_they_were(
    stand_in: Path, monkeypatch: pytest.MonkeyPatch
):
    (stand_in / "7_0.job").write_text("RUNNING")
    asked = Queue(["7_0", "7_1"])
    assert asked.look()
    assert (asked.state("7_0"), asked.state("7_1")) == ("RUNNING", "GONE")
    monkeypatch.setattr(squeue, "_FIRST", 0.0)
    monkeypatch.setenv("PATH", str(stand_in))
    assert ask(["7_0"]) is None
    assert not asked.look()
    assert asked.state("7_0") == "RUNNING"


def test_a_job_that_is_queued_again_is_counted_and_one_that_is_lost_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from submitit.core.utils import JobPaths  # noqa: PLC0415

    from hydra_plugins.etude_slurm import _watch  # noqa: PLC0415 (needs submitit)

    job = Job(number=0, label="seed=0", folder=tmp_path, about=About(), call=bytes)
    ticket = _watch.Ticket(Entry(job), JobPaths(tmp_path, job_id="7_0"))
    said = ["", "PENDING", "RUNNING", "COMPLETING", "PENDING", "RUNNING", "NODE_FAIL"]
    states = [(ticket.look(word), ticket.entry.state, ticket.entry.tries)[1:] for word in said]
    assert states == [
        (RunState.NOT_STARTED, 0), (RunState.NOT_STARTED, 0),
        (RunState.RUNNING, 1), (RunState.RUNNING, 1), (RunState.NOT_STARTED, 1),
        (RunState.RUNNING, 2), (RunState.RUNNING, 2),
    ]  # fmt: skip
    monkeypatch.setattr(_watch, "_LATE", 0.0)
    assert ticket.look("NODE_FAIL")
    assert ticket.entry.state is RunState.CUT_OFF
    assert ticket.entry.error == "NODE_FAIL (SLURM's job 7_0)"
