"""Locks, by both ways that systems have; the claim of a run's folder is in tests/runs."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from etude.base import locks

# What a system that has no locks of open files answers to, and so its way is taken.
NO_SUCH_COMMAND = 9999
HOLD = (
    "import sys, time; from pathlib import Path; from etude.base import locks\n"
    "locks._SET_OF_OPEN_FILE = int(sys.argv[2]); locks.take(Path(sys.argv[1]))\n"
    "print(flush=True); time.sleep(60)"
)


@pytest.fixture(params=[fcntl.F_OFD_SETLK, NO_SUCH_COMMAND], ids=["open file", "process"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(locks, "_SET_OF_OPEN_FILE", request.param)
    return request.param


def test_another_process_holds_it_until_it_dies(way: int, tmp_path: Path):
    lock = tmp_path / "lock"
    words = [sys.executable, "-c", HOLD, str(lock), str(way)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        assert locks.is_held(lock)
        with pytest.raises(locks.Held, match=f"process {process.pid} on "):
            locks.take(lock)
    finally:
        process.kill()
        process.communicate()
    assert lock.exists()
    assert not locks.is_held(lock)
    locks.release(locks.take(lock))


def test_asking_or_trying_again_does_not_lose_ones_own(way: int, tmp_path: Path):
    """A lock of the process would go with any descriptor of its file."""
    lock = tmp_path / "lock"
    mine = locks.take(lock)
    assert locks.is_held(lock)
    with pytest.raises(locks.Held, match=f"process {os.getpid()} on "):
        locks.take(lock)
    ask = "import sys; from pathlib import Path; from etude.base import locks\n"
    ask += "sys.exit(locks.is_held(Path(sys.argv[1])))"
    words = [sys.executable, "-c", ask, str(lock)]
    assert subprocess.run(words, check=False).returncode == 1
    locks.release(mine)
    assert not locks.is_held(lock)
    assert subprocess.run(words, check=False).returncode == 0
