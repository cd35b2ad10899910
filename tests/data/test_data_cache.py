import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from etude.base.errors import UserError
from etude.base.places import cache_folder
from etude.data.sources import cache

TENSORS = {"train": torch.arange(24, dtype=torch.uint8).view(2, 3, 2, 2)}
SHAPES = {"train": (2, 3, 2, 2)}


def test_tensors_come_back_as_they_were_written(tmp_path: Path):
    cache.write(tmp_path / "deep" / "a.safetensors", TENSORS)
    read = cache.read(tmp_path / "deep" / "a.safetensors", SHAPES)
    assert read is not None
    assert torch.equal(read["train"], TENSORS["train"])
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.safetensors"]


def test_a_cache_that_is_not_there_is_no_news(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    assert cache.read(tmp_path / "a.safetensors", SHAPES) is None
    assert caplog.text == ""


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content[:20],
        lambda _: b"",
        lambda content: content[:-1] + b"\x00",
        lambda content: content.replace(b"checksum", b"chequers"),
        lambda content: content.replace(b"[2,3,2,2]", b"[3,2,2,2]"),
    ],
)
def test_a_damaged_cache_is_not_trusted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: object
):
    path = tmp_path / "a.safetensors"
    cache.write(path, TENSORS)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert path.read_bytes() != whole
    assert cache.read(path, SHAPES) is None
    assert "it is made again" in caplog.text


@pytest.mark.parametrize("shapes", [{"train": (3, 3, 2, 2)}, {**SHAPES, "test": (1,)}])
def test_a_cache_of_something_else_is_not_trusted(
    tmp_path: Path, shapes: dict[str, tuple[int, ...]]
):
    cache.write(tmp_path / "a.safetensors", TENSORS)
    assert cache.read(tmp_path / "a.safetensors", shapes) is None


def test_a_cache_that_cannot_be_written_only_warns(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "a.safetensors"
    cache.write(path, TENSORS)
    assert "cannot be written" in caplog.text
    assert cache.read(path, SHAPES) is None


def test_what_dead_writers_left_is_removed_and_what_others_write_is_not(tmp_path: Path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / f"a.{socket.gethostname()}.{dead.pid}.tmp"
    alive = tmp_path / f"a.{socket.gethostname()}.{os.getppid()}.tmp"
    elsewhere = tmp_path / f"a.{socket.gethostname()}x.{dead.pid}.tmp"
    for file in (left, alive, elsewhere):
        file.touch()
    cache.write(tmp_path / "b.safetensors", TENSORS)
    assert sorted(tmp_path.glob("*.tmp")) == sorted([alive, elsewhere])


def test_the_cache_folder_is_the_first_that_the_environment_names(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "home")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("ETUDE_CACHE", raising=False)
    assert cache_folder() == Path("home/.cache/etude")
    monkeypatch.setenv("XDG_CACHE_HOME", "xdg")
    assert cache_folder() == Path("xdg/etude")
    monkeypatch.setenv("ETUDE_CACHE", "own")
    assert cache_folder() == Path("own")


def test_a_user_without_a_home_is_told_to_name_a_cache_folder(monkeypatch: pytest.MonkeyPatch):
    for name in ("HOME", "XDG_CACHE_HOME", "ETUDE_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 5)  # nobody in the list of users
    with pytest.raises(UserError, match="set ETUDE_CACHE"):
        cache_folder()
