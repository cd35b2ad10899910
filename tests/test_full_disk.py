"""A disk that is really full: a small file system in memory, in a name space of its own."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SMALL

from etude.base.atomic import is_full, overwrite_text

MOUNT = ["unshare", "--map-root-user", "--mount", "bash", "-c"]


def mountable() -> bool:
    """Whether this user may have a file system of their own."""
    try:
        command = [*MOUNT, "mount -t tmpfs -o size=4k none /mnt"]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


needs_mount = pytest.mark.skipif(not mountable(), reason="may not mount a file system")


def run_on(size: str, workplace: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Train on a disk of a size; what it holds afterwards is copied to `seen`."""
    disk, seen = workplace / "disk", workplace / "seen"
    disk.mkdir()
    train = shlex.join([sys.executable, "-m", "etude", *SMALL, *words])
    script = (
        f"mount -t tmpfs -o size={size} none {disk} || exit 99; {train}; code=$?; "
        f"cp -r {disk}/. {seen}; exit $code"
    )
    return subprocess.run(
        [*MOUNT, script],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "ETUDE_OUTPUTS": str(disk), "OMP_NUM_THREADS": "1"},
    )


@needs_mount
def test_a_disk_that_fills_up_while_training_ends_the_run_in_words(workplace: Path):
    done = run_on("600k", workplace, "train.checkpoint_steps=3", "record.histograms=true")
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "Traceback" not in said
    assert said.count("TensorBoard's files cannot be written") == 1
    (last,) = done.stderr.splitlines()
    assert "the disk is full (0 MiB free)" in last
    assert "best.safetensors" in last
    assert "make room" in last
    (summary,) = workplace.glob("seen/*/*/summary.json")
    assert json.loads(summary.read_text())["state"] == "failed"
    assert "disk is full" in json.loads(summary.read_text())["error"]
    assert not list(summary.parent.glob(".*.tmp"))
    assert (summary.parent / "last.ckpt").exists()


@needs_mount
def test_a_run_that_fits_but_for_its_later_checkpoints_finishes(workplace: Path):
    done = run_on("1m", workplace, "train.checkpoint_steps=3", "record.tensorboard=false")
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Traceback" not in said
    assert "last.ckpt: the disk is full (0 MiB free); the earlier one is kept" in said


@needs_mount
def test_a_disk_without_room_for_a_runs_first_files_is_told(workplace: Path):
    done = run_on("16k", workplace)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "the disk is full (0 MiB free): " in line


@needs_mount
def test_a_file_is_overwritten_in_its_place_where_there_is_room_for_no_other(tmp_path: Path):
    code = (
        "import pathlib; from etude.base.atomic import overwrite_text; "
        f"path = pathlib.Path({str(tmp_path)!r}) / 'a'; path.write_text('long ago'); "
        f"(path.parent / 'b').write_bytes(bytes(4096)); overwrite_text(path, 'now'); "
        "print(path.read_text())"
    )
    script = (
        f"mount -t tmpfs -o size=8k none {tmp_path} && {shlex.join([sys.executable, '-c', code])}"
    )
    done = subprocess.run([*MOUNT, script], check=False, capture_output=True, text=True)
    assert done.stdout == "now\n", done.stderr


def test_another_error_is_no_full_disk(tmp_path: Path):
    assert not is_full(OSError(13, "Permission denied"))
    with pytest.raises(OSError, match="No such file"):
        overwrite_text(tmp_path / "nowhere" / "a", "text")
