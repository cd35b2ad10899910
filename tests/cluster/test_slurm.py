"""Sweeps on a real SLURM: whatever becomes of its jobs, the results are those of one machine."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import summary_of
from slurm_here import Cluster, cluster, missing, processes_with, wait_for
from test_resume import assert_same_run

from etude.runs.records import read_rows

lacking = missing() or ("" if find_spec("submitit") else "etude[slurm] is not installed")
pytestmark = [pytest.mark.cluster, pytest.mark.skipif(bool(lacking), reason=lacking)]

WORDS = [
    "--config-dir=conf", "-m", "model=pausing", "packages=[pausing]", "train.epochs=60",
    "dataset.limit_train=300", "dataset.limit_test=60", "device=cpu", "precision=float32",
    "record.curves=false", "record.tensorboard=false", "train.checkpoint_seconds=1000",
]  # fmt: skip
SLURM = [
    "hydra/launcher=slurm", "hydra.launcher.partition=low", "hydra.launcher.gpus_per_node=0",
    "hydra.launcher.cpus_per_task=1", "hydra.launcher.mem_gb=1",
]  # fmt: skip
# A run's length is told from outside, so that its configuration, and its results, stay the same.
PAUSING = """
import os, time
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, input_size):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(input_size**2, num_classes))

    def forward(self, images):
        time.sleep(float(os.environ["PAUSE"]))
        return self.layers(images)
"""


@pytest.fixture(scope="session")
def slurm() -> Iterator[Cluster]:
    with cluster() as own:
        yield own


class Place:
    """A working folder, and the command in it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment
        (folder / "conf" / "model").mkdir(parents=True)
        (folder / "conf" / "model" / "pausing.yaml").write_text("_target_: pausing.Net\n")
        (folder / "pausing.py").write_text(PAUSING)

    def start(self, *words: str, pause: float = 0.0) -> "Command":
        return Command(self, [*WORDS, *words], pause)

    def run(self, seed: int) -> Path:
        (found,) = self.folder.glob(f"outputs/pausing_digits/*seed={seed}-*")
        return found

    def log(self, seed: int) -> str:
        return (self.run(seed) / "run.log").read_text()

    def epochs(self, seed: int) -> int:
        found = [*self.folder.glob(f"outputs/pausing_digits/*seed={seed}-*")]
        return len(read_rows(found[0])) if found else 0

    def job(self, seed: int) -> str:
        """Tell SLURM's number of the job that began a run."""
        environment = (self.run(seed) / ".hydra" / "hydra.yaml").read_text()
        found = re.search(r"^    id: '?(\d+_?\d*)'?$", environment, re.MULTILINE)
        assert found
        return found[1]


class Command:
    """The command at work; what it prints is kept as it comes."""

    def __init__(self, place: Place, words: list[str], pause: float) -> None:
        self.printed: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "etude", *words],
            env={**place.environment, "PAUSE": str(pause)}, cwd=place.folder,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        self.printed.extend(self.process.stdout)

    def end(self, code: int = 0) -> str:
        """Wait for its end; give all that it printed."""
        try:
            self.process.wait(timeout=240)
        finally:
            self.process.kill()
            self._reader.join()
            assert self.process.stdout
            self.process.stdout.close()
        assert self.process.returncode == code, self.text
        return self.text

    @property
    def text(self) -> str:
        return "".join(self.printed)


@pytest.fixture
def place(slurm: Cluster, workplace: Path) -> Place:
    return Place(workplace, {**slurm.environment, "OMP_NUM_THREADS": "1"})


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The same runs on this machine, one after the other, with nothing in their way."""
    folder = tmp_path_factory.mktemp("whole")
    own = Place(folder, {**os.environ, "OMP_NUM_THREADS": "1"})
    own.start("seed=0,1,2,3", "hydra/launcher=basic").end()
    return own


def assert_saved_and_gone_on_from_there(log: str, name: str) -> None:
    """The last state that a signal made a run save is the one that it went on from."""
    saved = re.findall(rf"{name}: saved at epoch (\d+), step (\d+)", log)
    going_on = re.findall(r"going on from epoch (\d+), step (\d+)", log)
    assert saved, log
    assert saved[-1] == going_on[-1]


KILLED = """
import os, signal
from slurm_here import cluster, wait_for

with cluster() as own:
    own.ask("sbatch", "-o", "/dev/null", "--wrap", "sleep 600")
    wait_for(lambda: own.ask("squeue", "-h", "-t", "R"), "the job to begin")
    print(own.folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_nothing_is_left_of_a_cluster_whose_tests_were_killed():
    killed = subprocess.run(
        [sys.executable, "-c", KILLED],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    folder = Path(killed.stdout.strip())
    wait_for(lambda: not folder.exists(), "its folder to be removed")
    assert not processes_with({"SLURM_CONF": str(folder / "slurm.conf")})


def test_a_sweep_shows_its_states_as_they_come_and_equals_one_without_a_cluster(
    place: Place, whole: Place
):
    command = place.start("seed=0,1,2,3", *SLURM, pause=0.02)
    wait_for(lambda: command.text.count("running ") == 4, "the runs to begin", 90)
    assert "finished" not in command.text
    told = command.end()
    assert told.count("finished   seed=") == 4
    assert not re.search("submitit|sacct|Traceback|warning", told, re.IGNORECASE), told
    for seed in range(4):
        assert_same_run(whole.run(seed), place.run(seed))


def test_a_run_longer_than_its_time_limit_saves_and_is_queued_again(place: Place, whole: Place):
    # SLURM looks at its clock twice a minute: the signal comes 20 to 50 s after the beginning.
    limit = ["hydra.launcher.timeout_min=1", "hydra.launcher.signal_delay_s=10"]
    told = place.start("seed=0", *SLURM, *limit, pause=0.1).end()
    assert "try 2" in told
    assert_saved_and_gone_on_from_there(place.log(0), "SIGUSR2")
    assert_same_run(whole.run(0), place.run(0))


def test_a_preempted_run_saves_at_once_and_goes_on_from_there(
    place: Place, whole: Place, slurm: Cluster
):
    command = place.start("seed=0,1", *SLURM, pause=0.04)
    wait_for(lambda: min(place.epochs(0), place.epochs(1)) >= 3, "three epochs", 90)
    wanted = ["-p", "high", "-N", "2", "--ntasks-per-node=2", "--mem=1G", "-o", "/dev/null"]
    slurm.ask("sbatch", *wanted, "--wrap", "sleep 3")
    told = command.end()
    for seed in (0, 1):
        assert f"not started  seed={seed}" in told.partition("running")[2]
        assert "training goes on until SLURM ends the job" in place.log(seed)
        assert_saved_and_gone_on_from_there(place.log(seed), "SIGTERM")
        assert_same_run(whole.run(seed), place.run(seed))


def test_the_run_of_a_node_that_is_lost_goes_on_on_another(
    place: Place, whole: Place, slurm: Cluster
):
    words = ["train.checkpoint_steps=20", "hydra.launcher.mem_gb=3"]  # a node each
    command = place.start("seed=0,1", *SLURM, *words, pause=0.02)
    wait_for(lambda: min(place.epochs(0), place.epochs(1)) >= 6, "six epochs", 90)
    slurm.lose("n1")
    try:
        told = command.end()
    finally:
        slurm.find("n1")
    assert told.count("try 2") == 2  # as it begins again, and in the table
    assert sum("going on from epoch" in place.log(seed) for seed in (0, 1)) == 1
    for seed in (0, 1):
        assert_same_run(whole.run(seed), place.run(seed))


def test_a_run_that_goes_on_on_a_node_that_slurm_has_lost_is_waited_for(
    place: Place, whole: Place, slurm: Cluster
):
    command = place.start("seed=0", *SLURM, pause=0.12)
    wait_for(lambda: place.epochs(0) >= 2, "two epochs", 90)
    node = slurm.ask("squeue", "-h", "-t", "R", "-o", "%N")
    slurm.lose(node, jobs=False)
    try:
        told = command.end()
    finally:
        slurm.find(node)
    assert "try 2" in told
    assert "going on" not in place.log(0)
    assert_same_run(whole.run(0), place.run(0))


def test_a_cancelled_run_is_saved_and_told_of_and_the_same_command_finishes_it(
    place: Place, whole: Place, slurm: Cluster
):
    command = place.start("seed=0,1", *SLURM, pause=0.03)
    wait_for(lambda: min(place.epochs(0), place.epochs(1)) >= 3, "three epochs", 90)
    job = place.job(0)
    slurm.ask("scancel", job)
    told = command.end(1)
    assert "cut off    seed=0  accuracy" in told
    assert f"CANCELLED (SLURM's job {job})" in told
    assert "1 of 2 runs did not finish" in told
    assert summary_of(place.run(1))["state"] == "finished"
    again = place.start("seed=0,1", *SLURM).end()
    assert "finished before" in again
    assert_saved_and_gone_on_from_there(place.log(0), "SIGTERM")
    for seed in (0, 1):
        assert_same_run(whole.run(seed), place.run(seed))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_command_that_ends_leaves_its_jobs_which_the_same_command_takes_up(
    place: Place, whole: Place, slurm: Cluster, number: signal.Signals
):
    command = place.start("seed=0,1", *SLURM, pause=0.04)
    wait_for(lambda: min(place.epochs(0), place.epochs(1)) >= 3, "three epochs", 90)
    jobs = [place.job(seed) for seed in (0, 1)]
    command.process.send_signal(number)
    told = command.end(130 if number is signal.SIGINT else -9)
    if number is signal.SIGINT:
        array = jobs[0].partition("_")[0]
        assert f"SLURM goes on with 2 of 2 runs, as {array}_[0-1]" in told
        assert "squeue -u root" in told
        (status,) = re.findall(r"etude-status (\S+)", told)
        assert (place.folder / status / "jobs.json").exists()
    time.sleep(1)
    assert slurm.ask("squeue", "-h", "--array", "-t", "R", "-o", "%i", "-S", "i").split() == jobs
    again = place.start("seed=0,1", *SLURM).end()
    assert "in SLURM's queue since before" in again
    assert [place.job(seed) for seed in (0, 1)] == jobs  # and no others
    for seed in (0, 1):
        assert "going on" not in place.log(seed)
        assert_same_run(whole.run(seed), place.run(seed))
