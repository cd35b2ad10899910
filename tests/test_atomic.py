import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from etude.base.atomic import remove_all, replacing, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_old_content_is_there_until_the_new_is_whole(tmp_path: Path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["a.txt"]


def test_what_fails_changes_nothing_and_leaves_nothing(tmp_path: Path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError), replacing(path) as temporary:
        temporary.write_text("ne\udfff", encoding="utf-8")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_file_may_be_read_by_whom_the_umask_lets(tmp_path: Path):
    """Safetensors makes its files private, so that nobody else could start from the weights."""
    before = os.umask(0o022)
    try:
        with replacing(tmp_path / "a.safetensors") as temporary:
            save_file({"weight": torch.zeros(2)}, temporary)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.safetensors").stat().st_mode) == 0o644


def test_what_a_crash_left_is_removed_by_whoever_owns_the_folder(tmp_path: Path):
    (tmp_path / ".summary.json.host.123.tmp").touch()
    (tmp_path / ".summary.json.123.tmp").touch()  # of an earlier version
    (tmp_path / "notes.tmp").touch()
    remove_all(tmp_path)
    assert names(tmp_path) == ["notes.tmp"]
