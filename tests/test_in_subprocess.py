import importlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from etude.base.in_subprocess import in_subprocess


def test_an_answer_comes_back_from_another_process():
    process, threads = in_subprocess(
        lambda: (os.getpid(), os.environ["OMP_NUM_THREADS"]), threads=3
    )
    assert process != os.getpid()
    assert threads == "3"


def test_it_finds_the_modules_that_this_process_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "of_mine.py").write_text("def answer(): return 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    answer = importlib.import_module("of_mine").answer
    assert in_subprocess(answer, threads=1) == 42


@pytest.mark.parametrize(
    "end", [lambda: 1 / 0, lambda: os._exit(3), lambda: os.kill(os.getpid(), signal.SIGKILL)]
)
def test_whatever_its_end_is_there_is_no_answer(end):
    assert in_subprocess(end, threads=1) is None


def test_what_it_prints_and_reads_is_nobody_elses():
    def chatter() -> str:
        os.write(1, b"noise")
        sys.stdout.write("noise")
        return sys.stdin.read()

    assert in_subprocess(chatter, threads=1) == ""


def test_a_thread_that_it_leaves_behind_is_not_waited_for():
    def leave() -> str:
        threading.Thread(target=time.sleep, args=(60,)).start()
        return "done"

    start = time.monotonic()
    assert in_subprocess(leave, threads=1) == "done"
    assert time.monotonic() - start < 30


def test_it_ends_with_the_one_who_asked(tmp_path: Path):
    held = tmp_path / "held"
    os.mkfifo(held)

    def hang() -> None:
        with held.open("w"):
            time.sleep(30)

    parent = os.fork()
    if parent == 0:
        in_subprocess(hang, threads=1)
        os._exit(0)
    with held.open() as ends:  # once the other process has opened it
        start = time.monotonic()
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
        assert ends.read() == ""
    assert time.monotonic() - start < 20
