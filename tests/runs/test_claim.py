import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from run_folders import make

from etude.runs.claim import Busy, claimed, is_claimed, set_aside

HOLD = (
    "import sys, time; from pathlib import Path; from etude.runs.claim import claimed\n"
    "with claimed(Path(sys.argv[1])):\n    print(flush=True); time.sleep(60)"
)


def holder(folder: Path) -> "subprocess.Popen[str]":
    """Another process at work in the folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_one_process_at_a_time_works_in_a_folder(tmp_path: Path):
    process = holder(tmp_path / "run")
    try:
        assert is_claimed(tmp_path / "run")
        with pytest.raises(Busy, match=rf"\(process {process.pid} on "), claimed(tmp_path / "run"):
            pass
    finally:
        process.kill()
        process.communicate()
    assert (tmp_path / "run" / ".lock").exists()
    assert not is_claimed(tmp_path / "run")
    with claimed(tmp_path / "run"):
        pass


def test_the_same_process_cannot_work_in_a_folder_twice(tmp_path: Path):
    with claimed(tmp_path), pytest.raises(Busy), claimed(tmp_path):
        pass


def test_asking_does_not_keep_a_run_from_beginning(tmp_path: Path):
    """A shared lock, held while somebody looks, would."""
    read, write = os.pipe()
    asking = (
        "import os, sys; from pathlib import Path; from etude.runs.claim import is_claimed\n"
        "os.write(int(sys.argv[2]), b'.')\n"
        "while True: is_claimed(Path(sys.argv[1]))"
    )
    (tmp_path / ".lock").touch()
    words = [sys.executable, "-c", asking, str(tmp_path), str(write)]
    process = subprocess.Popen(words, pass_fds=[write])
    try:
        os.read(read, 1)
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            with claimed(tmp_path):
                pass
            (tmp_path / ".lock").touch()
    finally:
        process.kill()
        process.wait()


def test_a_folder_is_free_once_its_lock_is_gone(tmp_path: Path):
    with claimed(tmp_path):
        assert is_claimed(tmp_path)
    assert not is_claimed(tmp_path)
    assert not list(tmp_path.iterdir())
    assert not is_claimed(tmp_path / "nowhere")


def test_what_a_crash_left_half_written_is_removed(tmp_path: Path):
    (tmp_path / ".summary.json.host.1.tmp").touch()
    with claimed(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_run_is_set_aside_but_not_the_log_that_is_being_written(tmp_path: Path):
    run = make(tmp_path / "run", "finished", epochs=1)
    (run / "output.log").write_text("beginning")
    aside = set_aside(run)
    assert aside is not None
    assert (aside / "summary.json").exists()
    assert [path.name for path in run.iterdir()] == ["output.log"]
    assert set_aside(run) is None
