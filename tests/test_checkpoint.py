import errno
import io
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from etude.base.errors import UserError
from etude.train import checkpoint
from etude.train.checkpoint import Checkpoints


def checkpoints(folder: Path, **changes: Any) -> Checkpoints:
    settings: dict[str, Any] = {"identity": {}, "every_seconds": 1e9, "every_steps": None}
    return Checkpoints(folder, **{**settings, **changes})


def state(value: float) -> dict[str, Any]:
    return {"weights": torch.full((1000,), value)}


def test_the_last_checkpoint_is_given_back(tmp_path: Path):
    checkpoints(tmp_path).save(state(1))
    checkpoints(tmp_path).save(state(2))
    found = checkpoints(tmp_path).load()
    assert found is not None
    assert found["weights"].eq(2).all()
    assert {path.name for path in tmp_path.iterdir()} == {"last.ckpt", "last.ckpt.previous"}


def test_without_any_there_is_none(tmp_path: Path):
    assert checkpoints(tmp_path).load() is None


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "text", "harm"])
def test_a_damaged_one_gives_way_to_the_one_before_it(tmp_path: Path, damage: str):
    for value in (1, 2):
        checkpoints(tmp_path).save(state(value))
    path = tmp_path / "last.ckpt"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(
        {"flip": bytes(content), "cut": content[:900], "empty": b"", "text": b"hello",
         "harm": harmful(tmp_path)}[damage]
    )  # fmt: skip
    found = checkpoints(tmp_path).load()
    assert found is not None
    assert found["weights"].eq(1).all()
    assert not (tmp_path / "harm").exists()


class Harm:
    """What makes a file when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self._folder}/harm",)


def harmful(folder: Path) -> bytes:
    """A checkpoint, whole by its checksums, that runs a command when it is read carelessly."""
    torch.save({"state": Harm(folder)}, content := io.BytesIO())
    return content.getvalue()


def test_with_both_damaged_the_run_starts_over(tmp_path: Path):
    for name in ("last.ckpt", "last.ckpt.previous"):
        (tmp_path / name).write_bytes(b"")
    assert checkpoints(tmp_path).load() is None


def test_one_made_under_other_conditions_is_refused(tmp_path: Path):
    checkpoints(tmp_path, identity={"data": "one"}).save(state(1))
    with pytest.raises(UserError, match=r"data=one .* data=two.*fresh=true"):
        checkpoints(tmp_path, identity={"data": "two"}).load()


def test_saving_waits_for_its_share_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    now = 0.0
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now)
    saver = checkpoints(tmp_path, every_seconds=10)
    now = 10.5
    assert saver.due(1)
    write = checkpoint._write

    def slowly(*arguments: Any) -> None:
        nonlocal now
        write(*arguments)
        now += 2  # seconds that saving takes

    monkeypatch.setattr(checkpoint, "_write", slowly)
    saver.save(state(1))
    now += 199
    assert not saver.due(2)  # 2 s are 1 % of 200 s
    now += 2
    assert saver.due(3)


def test_saving_every_so_many_steps(tmp_path: Path):
    saver = checkpoints(tmp_path, every_steps=3)
    assert [step for step in range(8) if saver.due(step)] == [3, 6]


def test_a_full_disk_keeps_the_earlier_checkpoint_and_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    saver = checkpoints(tmp_path)
    saver.save(state(1))

    def full(*_: Any) -> None:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise RuntimeError("unexpected pos 704 vs 598")  # noqa: B904 (as torch does)

    monkeypatch.setattr(checkpoint.torch, "save", full)
    saver.save(state(2))
    assert "the disk is full" in caplog.text
    assert "last.ckpt: " in caplog.text
    found = checkpoints(tmp_path).load()
    assert found is not None
    assert found["weights"].eq(1).all()
    assert {path.name for path in tmp_path.iterdir()} == {"last.ckpt"}
