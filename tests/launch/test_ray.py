"""The Ray launcher on a real cluster: two machines of Ray's own making, on this one's loopback."""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from conftest import summary_of
from launch.processes import notes, wait_for
from omegaconf import OmegaConf
from test_resume import assert_same_run

from etude.runs.records import read_rows
from hydra_plugins.etude_ray.launcher import RayLauncherConf

HERE = Path(__file__).parent
CONF = HERE.parents[1] / "conf"
# One cluster for all, which takes seconds to start, and so one process of the tests.
pytestmark = [
    pytest.mark.skipif(find_spec("ray") is None, reason="etude[ray] is not installed"),
    pytest.mark.xdist_group("ray"),
]
RUN = [
    "experiment=lenet5_digits", "dataset.limit_train=300", "dataset.limit_test=60",
    "train.epochs=30", "train.checkpoint_steps=5", "device=cpu", "precision=float32",
    "record.curves=false", "record.tensorboard=false",
]  # fmt: skip
SECONDS = 240  # that anything may take on a machine that is busy


@dataclass
class Site:
    """A folder to work in, and the environment of the commands that are typed there."""

    folder: Path
    environment: dict[str, str]
    started: list["subprocess.Popen[str]"] = field(default_factory=list)

    def start(self, *words: str, outputs: str = "outputs") -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=self.folder,
            env={**self.environment, "ETUDE_OUTPUTS": outputs},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def run(self, *words: str, outputs: str = "outputs") -> tuple[int, str]:
        process = self.start(*words, outputs=outputs)
        output, _ = process.communicate(timeout=SECONDS)
        return process.returncode, output

    def etude(self, outputs: str, *words: str) -> tuple[int, str]:
        return self.run("-m", "etude", *RUN, *words, outputs=outputs)

    def only_folder(self, outputs: str, seed: int) -> Path:
        (folder,) = (self.folder / outputs / "lenet5_digits").glob(f"*seed={seed}-*")
        return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("ray")
    sockets = tempfile.mkdtemp(prefix="r")  # whose paths must be short
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ETUDE_", "RAY_", "HYDRA_"))}
    ours = {
        "OMP_NUM_THREADS": "1", "ETUDE_CACHE": str(folder / "cache"), "RAY_TMPDIR": sockets,
        "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # it then listens on loopback alone
    }  # fmt: skip
    site = Site(folder, kept | ours)
    yield site
    for process in site.started:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            stream.close()
    shutil.rmtree(sockets, ignore_errors=True)


@dataclass
class RayCluster:
    process: "subprocess.Popen[str]"
    addresses: list[str]

    def lose_the_second_machine(self) -> None:
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "replaced\n"


@pytest.fixture(scope="module")
def starting(site: Site) -> "subprocess.Popen[str]":
    """The cluster on its way, which takes seconds; the runs to compare with are made meanwhile."""
    return site.start(str(HERE / "ray_cluster.py"))


@pytest.fixture(scope="module")
def cluster(starting: "subprocess.Popen[str]", whole: object) -> Iterator[RayCluster]:
    process = starting
    told: list[str] = []
    while not told or "ray://" not in told[-1]:
        told.append(process.stdout.readline())
        assert told[-1], "".join(told)
    yield RayCluster(process, told[-1].split())
    process.stdin.close()
    process.wait(timeout=60)


@pytest.fixture(scope="module")
def whole(site: Site, starting: object) -> Callable[[int], Path]:
    """The runs that all others must equal: the local launcher's, by their seed."""
    code, output = site.etude("whole", "-m", "seed=0,1", "hydra/launcher=local")
    assert code == 0, output
    return lambda seed: site.only_folder("whole", seed)


RAY = ("-m", "hydra/launcher=ray")


def process_of(folder: Path) -> int:
    """The process that works on a run, as its log says."""
    log = folder / "output.log"
    found = re.findall(r"try \d+ on \S+, process (\d+)", log.read_text() if log.exists() else "")
    return int(found[-1]) if found else 0


def begin_one(site: Site, outputs: str, *words: str) -> tuple["subprocess.Popen[str]", Path]:
    """Start a sweep; give it, and its first run's folder once that has two epochs behind it."""
    process = site.start("-m", "etude", *RUN, *RAY, *words, outputs=outputs)
    folders = site.folder / outputs / "lenet5_digits"

    def going() -> list[Path]:
        assert process.poll() is None, process.communicate()
        return [path for path in folders.glob("*") if len(read_rows(path)) >= 2]

    wait_for(going, seconds=SECONDS)
    return process, going()[0]


# --- the same bits, whatever is lost -----------------------------------------------------------
def test_a_sweep_has_the_local_launchers_bits_and_is_not_made_twice(
    site: Site, cluster: RayCluster, whole: Callable[[int], Path]
):
    code, output = site.etude("ray", *RAY, "seed=0,1")
    assert code == 0, output
    assert "2 jobs: 2 finished" in output
    for seed in (0, 1):
        assert_same_run(whole(seed), site.only_folder("ray", seed))
    # A second start needs no cluster, and says what there is.
    code, output = site.etude("ray", *RAY, "seed=0,1", "hydra.launcher.address=127.0.0.1:1")
    assert code == 0, output
    assert "2 jobs: 2 finished before" in output


def test_a_run_whose_process_is_killed_goes_on_from_its_checkpoint(
    site: Site, cluster: RayCluster, whole: Callable[[int], Path]
):
    process, folder = begin_one(site, "killed", "seed=0")
    os.kill(process_of(folder), signal.SIGKILL)
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output
    assert "its process died" in output
    assert "finished, try 2" in output
    assert "going on from epoch" in (folder / "run.log").read_text()
    assert_same_run(whole(0), folder)


def test_a_run_whose_machine_is_lost_goes_on_elsewhere(
    site: Site, cluster: RayCluster, whole: Callable[[int], Path]
):
    process, folder = begin_one(site, "lost", "seed=0", "+hydra.launcher.resources.second=1")
    cluster.lose_the_second_machine()
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output
    assert "finished, try 2" in output
    assert "going on from epoch" in (folder / "run.log").read_text()
    assert_same_run(whole(0), folder)


def test_ctrl_c_lets_what_runs_save_and_cancels_what_waits(
    site: Site, cluster: RayCluster, whole: Callable[[int], Path]
):
    words = ["seed=0,1", "+hydra.launcher.resources.first=1"]
    process, folder = begin_one(site, "cut", *words)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does it
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, output
    assert "2 jobs: 1 not started, 1 preempted" in output
    assert summary_of(folder)["state"] == "preempted"
    assert (folder / "last.ckpt").exists()
    assert [path.parent for path in folder.parent.glob("*/summary.json")] == [folder]
    code, output = site.etude("cut", *RAY, *words)
    assert code == 0, output
    for seed in (0, 1):
        assert_same_run(whole(seed), site.only_folder("cut", seed))


# --- what becomes of failures, with an application of nobody's ----------------------------------
@pytest.fixture
def app(site: Site, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """An application that knows nothing of its launcher, in a folder of its own."""
    shutil.copy(HERE / "app.py", tmp_path)
    there = Site(tmp_path, site.environment, site.started)
    given = ["app.py", "-m", "hydra/launcher=etude_ray", "hydra.sweep.dir=out"]
    return lambda *words: there.run(*given, *words)


def row(output: str, job: str) -> str:
    """A job's line in the table at the end."""
    table = output.rpartition("───")[2].partition(" jobs: ")[0]
    return next(line for line in table.splitlines() if line.strip().startswith(job))


def test_whatever_becomes_of_one_job_the_others_go_on(
    app: Callable[..., tuple[int, str]], cluster: RayCluster, tmp_path: Path
):
    words = ["+do=work,raise,kill,exit,stubborn", "hydra.launcher.max_retries=1"]
    code, output = app(*words, "hydra.launcher.num_cpus=0.5")
    assert code == 1
    assert "finished" in row(output, "+do=work")
    assert "failed" in row(output, "+do=raise")
    assert "failed +do=raise: ValueError: no such thing\n  log: out/1/output.log" in output
    assert "failed, try 2" in row(output, "+do=kill")
    assert "failed +do=kill: its process died" in output
    assert "failed +do=exit: exited with code 3" in output
    assert "StubbornError: no way" in output
    assert "5 jobs: 1 finished, 4 failed" in output
    assert "doing raise\nTraceback" in (tmp_path / "out" / "1" / "output.log").read_text()
    done = [note.split() for note in notes(tmp_path)]
    assert len({process for _, process, *_ in done}) == len(done) == 6  # a new one each time
    assert {(threads, name) for *_, threads, name in done} == {("1", "app.py")}


@pytest.mark.slow  # Ray gives its client's server so long to begin, which a busy machine exceeds
def test_a_cluster_elsewhere_is_reached_by_its_client_address(
    app: Callable[..., tuple[int, str]], cluster: RayCluster, tmp_path: Path
):
    code, output = app("+do=work,raise", f"hydra.launcher.address={cluster.addresses[1]}")
    assert code == 1
    assert "running    +do=work" in output
    assert "2 jobs: 1 finished, 1 failed" in output


@pytest.mark.slow  # a race with how soon Ray wakes a thread that sleeps
def test_a_job_that_does_not_hear_is_killed_when_its_grace_is_over(
    site: Site, cluster: RayCluster, tmp_path: Path
):
    shutil.copy(HERE / "app.py", tmp_path)
    words = ["-m", "hydra/launcher=etude_ray", "hydra.sweep.dir=out", "+do=deaf,save"]
    there = Site(tmp_path, site.environment, site.started)
    process = there.start("app.py", *words, "hydra.launcher.grace_seconds=2")
    wait_for(lambda: notes(tmp_path).count("listening") == 2, seconds=SECONDS)
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 75, output
    assert "saved 2" in notes(tmp_path)
    assert "preempted" in row(output, "+do=save")
    assert "cut off" in row(output, "+do=deaf")


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("hydra.launcher.num_gpus=1", "a job asks for 1 CPU and 1 GPU, which no machine of the"),
        ("+hydra.launcher.resources.big=1", "1 big, which no machine of the Ray cluster has ("),
        ("hydra.launcher.num_cpus=2", "(1 CPU, 1 first; 1 CPU, 1 second)"),
    ],
)
def test_what_no_machine_has_is_refused(
    app: Callable[..., tuple[int, str]], cluster: RayCluster, tmp_path: Path, word: str, told: str
):
    code, output = app("+do=work", word)
    assert code == 1
    assert told in output
    assert notes(tmp_path) == []


# --- without that cluster ----------------------------------------------------------------------
@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_an_address_where_nothing_answers_is_refused_at_once(
    app: Callable[..., tuple[int, str]], tmp_path: Path, address: str
):
    code, output = app("+do=work", f"hydra.launcher.address={address}")
    assert code == 1
    assert f"hydra.launcher.address={address}: nothing answers" in output
    assert "`ray start --head` begins a cluster" in output
    assert notes(tmp_path) == []


def test_a_cluster_that_does_not_answer_is_given_up(site: Site):
    """Its head may hang: the system takes the connection, and nobody reads from it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        code, output = site.run("-c", CONNECT, address)
    assert code == 1
    assert f"hydra.launcher.address={address}: no answer within 1 s; `ray stop --force`" in output


CONNECT = """
import sys
from hydra_plugins.etude_ray import _cluster
_cluster._ANSWER_SECONDS = 1
_cluster.connect(sys.argv[1], {})
"""


def test_bad_settings_are_refused_with_their_rules(app: Callable[..., tuple[int, str]]):
    words = ["num_gpus=1.5", "num_cpus=0", "address=here", "max_retries=-1"]
    code, output = app("+do=work", *(f"hydra.launcher.{word}" for word in words))
    assert code == 1
    for told in (
        "num_gpus=1.5 must be at least 0, and at most 1, or a whole number",
        "num_cpus=0.0 must be above 0, and at most 1, or a whole number",
        "address=here must be auto, <host>:<port>, ray://<host>:<port> or null",
        "max_retries=-1 must be a whole number of at least 0",
    ):
        assert f"hydra.launcher.{told}" in output


def test_a_cluster_of_ones_own_is_on_loopback_alone_and_ends_with_the_command(
    site: Site, tmp_path: Path
):
    (tmp_path / "mynets.py").write_text(OWN_NETWORK)  # found in the working folder
    kept = {k: v for k, v in site.environment.items() if not k.startswith("RAY_")}
    short = site.environment["RAY_TMPDIR"]
    environment = {**kept, "RAY_TMPDIR": short, "HOME": str(tmp_path), "ETUDE_MARK": str(tmp_path)}
    there = Site(tmp_path, environment, site.started)
    own = ["model._target_=mynets.Tiny", "packages=[mynets]", "hydra.launcher.address=null"]
    words = [*RUN, "-m", "seed=0", "hydra/launcher=ray", *own]
    process = there.start("-m", "etude", *words)
    wait_for(lambda: [*tmp_path.glob("outputs/*/*/output.log")], seconds=SECONDS)
    marked = marked_with(str(tmp_path))
    assert len(marked) > 3  # the command, Ray's own and the run's
    assert listening(marked) <= LOOPBACK
    assert listening(marked)
    output, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, output
    assert "1 job: 1 finished" in output
    wait_for(lambda: not marked_with(str(tmp_path)))


OWN_NETWORK = """
from torch import nn

class Tiny(nn.Sequential):
    def __init__(self, num_classes, input_size):
        super().__init__(nn.Flatten(), nn.Linear(input_size ** 2, num_classes))
"""
# 127.0.0.1, ::1 and ::ffff:127.0.0.1, as the kernel writes them.
LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}


def marked_with(mark: str) -> list[Path]:
    """The processes that have a word in their environment."""
    found: list[Path] = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark.encode() in (path / "environ").read_bytes():
                found.append(path)
    return found


def listening(processes: list[Path]) -> set[str]:
    """The addresses that processes listen on."""
    sockets: set[str] = set()
    for link in (link for path in processes for link in path.glob("fd/*")):
        with suppress(OSError):
            sockets.add(str(link.readlink()))
    rows = [
        row.split()
        for table in ("tcp", "tcp6")
        for row in Path("/proc/net", table).read_text().splitlines()[1:]
    ]
    return {
        row[1].partition(":")[0]
        for row in rows
        if row[3] == "0A" and f"socket:[{row[9]}]" in sockets
    }


def test_the_preset_is_the_plugins_own_node_with_comments():
    preset: Any = OmegaConf.load(CONF / "hydra" / "launcher" / "ray.yaml")
    del preset["defaults"]
    node = OmegaConf.structured(RayLauncherConf)
    assert {*preset} | {"_target_"} == {*node}
    assert OmegaConf.merge(node, preset) == node


def test_without_ray_it_is_said_how_to_install_it(
    etude: Callable[..., int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert etude("-m", "hydra/launcher=ray", "seed=0,1") == 2
    assert "pip install 'etude[ray]'" in capsys.readouterr().err
