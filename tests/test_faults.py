"""Faults from outside, provoked for real; docs/faults.md lists them all with their tests."""

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import SMALL, only_run, summary_of
from PIL import Image
from test_full_disk import MOUNT, needs_mount

from etude.train import run

Etude = Callable[..., int]
ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "faults.md"
PAGES = [PAGE, ROOT / "docs" / "security.md"]


# --- the page ---------------------------------------------------------------------------------
def named() -> list[tuple[str, str]]:
    """The tests that the pages name, each by its file and its function."""
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    return re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", text)


def test_every_test_that_the_pages_name_is_there():
    lost = [
        f"{path}::{name}"
        for path, name in named()
        if not re.search(rf"^def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert not lost


def test_every_one_of_the_41_faults_has_a_test():
    rows = re.findall(r"^\| (\d+) \|.*$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert list(map(int, rows)) == list(range(1, 42))
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if re.match(r"\| \d+ \|", line):
            assert "`tests/" in line, line


# --- disks that may only be read --------------------------------------------------------------
def photos(root: Path, images: int = 6) -> None:
    for part in ("train", "test"):
        for name in ("a", "b"):
            (root / part / name).mkdir(parents=True)
            for n in range(images):
                colour = (n * 20, 90 if name == "a" else 3, len(part) * 7)
                Image.new("RGB", (28, 28), colour).save(root / part / name / f"{n}.png")


FOLDER = ["dataset=folder", "dataset.root=photos", "dataset.input_size=28", "train.batch_size=4",
          "train.epochs=1", "record.curves=false", "record.tensorboard=false"]  # fmt: skip


@needs_mount
def test_images_are_read_where_nothing_may_be_written(workplace: Path):
    photos(workplace / "photos")
    train = shlex.join([sys.executable, "-m", "etude", *FOLDER])
    script = f"mount --bind photos photos && mount -o remount,ro,bind photos && {train}"
    done = subprocess.run(
        [*MOUNT, script], check=False, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert summary_of(only_run(workplace))["state"] == "finished"
    assert {path.name for path in (workplace / "photos").iterdir()} == {"train", "test"}


# --- processes --------------------------------------------------------------------------------
def started(*words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "etude", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


@pytest.mark.slow
def test_a_second_ctrl_c_ends_a_run_at_once_and_the_same_command_goes_on(workplace: Path):
    words = [*SMALL, "train.epochs=300", "record.tensorboard=false", "train.checkpoint_steps=3"]
    process = started(*words)
    wait_for(lambda: list(workplace.glob("outputs/*/*/last.ckpt")))
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=20)
    assert process.returncode == 130, said
    assert "Traceback" not in said


def test_an_image_that_goes_while_a_run_streams_is_a_failure_and_no_refusal(
    etude: Etude, workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
):
    for number in range(24):
        place = workplace / "photos" / ("train", "test")[number % 2] / "ab"[number // 12]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), (number, 0, 0)).save(place / f"{number}.png")
    words = ["dataset=folder", "dataset.root=photos", "dataset.input_size=28", "model=lenet5",
             "dataset.normalize=unit", "dataset.stream=true", "train.epochs=3", "device=cpu",
             "dataset.validation_split=none", "train.batch_size=4"]  # fmt: skip
    image = workplace / "photos" / "train" / "a" / "2.png"
    kept = image.read_bytes()
    append = run.append_line

    def goes(path: Path, row: Any) -> None:
        append(path, row)
        if row["epoch"] == 2:
            image.unlink()

    monkeypatch.setattr(run, "append_line", goes)
    assert etude(*words) == 1
    assert "2.png: there is no such file; put it back and give" in capsys.readouterr().err
    assert summary_of(only_run(workplace))["state"] == "failed"
    monkeypatch.setattr(run, "append_line", append)
    image.write_bytes(kept)
    assert etude(*words) == 0


def test_a_run_listens_nowhere(etude: Etude, workplace: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        pytest.fail("something listens")

    monkeypatch.setattr(socket.socket, "listen", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert etude(*SMALL) == 0


# --- words ------------------------------------------------------------------------------------
def test_hydras_own_words_on_a_choice_that_is_none_are_refused_in_a_line(workplace: Path):
    """Found by throwing random words."""
    process = started("--info", "defaults", "model=true")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert said.splitlines()[-1].startswith("etude: ")
    assert "Traceback" not in said


def test_a_job_is_in_the_working_folder_whatever_hydra_is_told(
    etude: Etude, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    photos(workplace / "photos")
    assert etude("-m", "seed=0,1", *FOLDER, "hydra.job.chdir=true") == 2
    assert "runs stay in the working folder" in capsys.readouterr().err
    assert not (workplace / "outputs").exists()
