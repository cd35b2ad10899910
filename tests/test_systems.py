"""Systems without `/proc`, which macOS lacks and some containers hide; and Windows."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from launch.processes import wait_for

from etude.base import processes, startup
from etude.launch import machine
from etude.runs.environment import environment
from etude.train.hardware import choose_precision, torch

RUN = ["dataset.limit_train=200", "train.epochs=2000", "record.curves=false",
       "record.tensorboard=false", "device=cpu"]  # fmt: skip


@pytest.fixture
def no_proc(monkeypatch: pytest.MonkeyPatch):
    """Nothing below /proc can be opened."""
    opened = Path.open

    def refusing(path: Path, *given: object, **more: object) -> object:
        if path.is_relative_to("/proc"):
            raise FileNotFoundError(path)
        return opened(path, *given, **more)

    monkeypatch.setattr(Path, "open", refusing)
    monkeypatch.setattr(Path, "exists", lambda path: path.is_relative_to("/proc") is False)


def test_what_is_read_there_is_done_without(no_proc: None):
    assert startup.age() is None
    assert machine.cores() >= 1
    assert environment()["processor"]
    assert choose_precision("auto", torch.device("cpu"), gains=True) == "float32"


def test_a_process_is_there_until_it_is_reaped(no_proc: None):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert processes.exists(process.pid)
    process.communicate(b"\n")
    assert not processes.exists(process.pid)
    assert not processes.exists(0)


def test_another_users_process_is_there_as_well(monkeypatch: pytest.MonkeyPatch):
    def kill(process: int, number: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", kill)
    assert processes.exists(1)


def test_windows_is_told_in_one_line_where_it_runs():
    code = "import sys; sys.platform, sys.modules['fcntl'] = 'win32', None; import etude.cli.app"
    process = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )
    assert process.returncode == 1
    assert process.stderr == (
        "etude does not run on Windows itself; `wsl --install` brings a Linux, where it does\n"
    )


def may_hide_proc() -> bool:
    """Whether this process may give a program a /proc of its own: root, mostly."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(hiding("true"), check=False, capture_output=True).returncode == 0


def hiding(*words: str) -> list[str]:
    hide = 'mount -t tmpfs none /proc && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", hide, "sh", *words]


@pytest.fixture
def begin(workplace: Path) -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Starts modules that see no /proc, and ends what is left of them."""
    begun: list[subprocess.Popen[str]] = []

    def begin(module: str, *words: str) -> "subprocess.Popen[str]":
        command = hiding(sys.executable, "-m", module, *words)
        begun.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        return begun[-1]

    yield begin
    for process in begun:
        process.terminate()  # which ends its jobs
        process.communicate(timeout=60)


@pytest.mark.slow
@pytest.mark.skipif("not may_hide_proc()", reason="needs root, to hide /proc from a program")
def test_without_proc_runs_are_watched_told_to_stop_and_found_dead(
    workplace: Path, begin: Callable[..., "subprocess.Popen[str]"]
):
    folders = workplace / "outputs" / "lenet5_digits"

    def states() -> list[str]:
        told, _ = begin("etude.cli.status", "--json", str(folders)).communicate(timeout=60)
        return [run["state"] for run in json.loads(told)] if told else []

    sweep = begin("etude", "-m", "seed=0,1", "hydra/launcher=local", *RUN)
    wait_for(lambda: states() == ["running"] * 2, seconds=120)
    sweep.send_signal(signal.SIGINT)
    sweep.communicate(timeout=120)
    assert sweep.returncode == 130
    assert states() == ["preempted"] * 2
    run = begin("etude", "seed=0", *RUN)
    wait_for(lambda: "running" in states(), seconds=120)
    run.kill()
    run.communicate()
    assert sorted(states()) == ["cut off", "preempted"]
