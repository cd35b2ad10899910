import gzip
import hashlib
import logging
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from etude.base import digests
from etude.base.digests import combined, digest_of_file, digest_of_tree, digests_of_files
from etude.base.errors import UserError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ETUDE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path: Path, cache: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    for name in "abc":
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as settled at once: a test cannot set a time of change back."""
    monkeypatch.setattr(digests, "SETTLED_SECONDS", 0.0)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are read, as they are."""
    names: list[str] = []
    hashed = digests._hash

    def spy(path: Path) -> str:
        names.append(path.name)
        return hashed(path)

    monkeypatch.setattr(digests, "_hash", spy)
    return names


def test_a_digest_is_the_first_half_of_sha256sums(root: Path):
    assert digest_of_file(root / "a") == hashlib.sha256(b"a").hexdigest()[:32]


def test_a_packed_file_is_known_by_what_is_packed_in_it(root: Path):
    for level in (1, 9):
        (root / "a.gz").write_bytes(gzip.compress(b"a", level, mtime=level))
        assert digest_of_file(root / "a.gz") == digest_of_file(root / "a")


def test_a_trees_digest_depends_on_names_and_contents_alone(root: Path, tmp_path: Path):
    first = digest_of_tree(root, ["a", "b", "c"])
    assert digest_of_tree(root, ["c", "a", "b", "a"]) == first
    assert digest_of_tree(root, ["a", "b"]) != first
    moved = root.rename(tmp_path / "elsewhere")
    assert digest_of_tree(moved, ["a", "b", "c"]) == first
    (moved / "c").rename(moved / "d")
    assert digest_of_tree(moved, ["a", "b", "d"]) != first


def test_contents_that_change_places_are_another_tree():
    assert combined({"a": "1", "b": "2"}) != combined({"a": "2", "b": "1"})


def test_names_that_are_no_text_are_told_apart(root: Path):
    names = [os.fsdecode(b"\xff"), os.fsdecode(b"\xfe")]
    for name in names:
        (root / name).write_text("same")
    one, other = (digest_of_tree(root, [name]) for name in names)
    assert one != other


def test_what_is_known_is_not_read_again(root: Path, settled: None, read: list[str]):
    time.sleep(0.02)  # past the tick of the file system's clock
    first = digests_of_files(root, ["a", "b"])
    read.clear()
    assert digests_of_files(root, ["a", "b"]) == first
    assert read == []
    assert list(digests_of_files(root, ["c", "a"])) == ["c", "a"]
    assert read == ["c"]


def test_a_file_that_has_just_changed_is_read_again(root: Path, read: list[str]):
    for _ in range(2):
        digest_of_file(root / "a")
    assert read == ["a", "a"]


def test_a_file_of_the_same_size_and_time_of_modification_is_seen_to_be_another(
    root: Path, settled: None
):
    """As `cp -p` and archives leave it; the time of change tells, which nobody can set."""
    time.sleep(0.02)
    before, file = digest_of_file(root / "a"), root / "a"
    status = file.stat()
    file.write_text("x")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (1, status.st_mtime_ns)
    assert digest_of_file(file) != before


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-3], lambda b: b.replace(b"a", b"b"), lambda _: b""]
)
def test_a_damaged_cache_is_passed_over(
    root: Path, cache: Path, settled: None, read: list[str], damage: object
):
    time.sleep(0.02)
    first = digest_of_file(root / "a")
    (file,) = cache.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert digest_of_file(root / "a") == first
    assert read == ["a", "a"]


def test_without_a_place_for_a_cache_files_are_read_every_time(
    root: Path, monkeypatch: pytest.MonkeyPatch
):
    def nowhere() -> Path:
        raise UserError("no home folder")

    first = digest_of_file(root / "a")
    monkeypatch.setattr(digests, "cache_folder", nowhere)
    assert digest_of_file(root / "a") == first


def test_a_cache_that_cannot_be_written_is_told_and_nothing_else(
    root: Path, cache: Path, caplog: pytest.LogCaptureFixture
):
    cache.write_text("a file where the folder should be")
    assert digest_of_file(root / "a") == hashlib.sha256(b"a").hexdigest()[:32]
    assert "cannot be written" in caplog.text


def test_an_interrupt_loses_only_what_was_not_read(
    root: Path, settled: None, monkeypatch: pytest.MonkeyPatch, read: list[str]
):
    time.sleep(0.02)
    hashed = digests._hash

    def interrupted(path: Path) -> str:
        if path.name == "c":
            raise KeyboardInterrupt
        return hashed(path)

    monkeypatch.setattr(digests, "TOGETHER", 1)
    with monkeypatch.context() as patch:
        patch.setattr(digests, "_hash", interrupted)
        with pytest.raises(KeyboardInterrupt):
            digests_of_files(root, "abc")
    read.clear()
    digests_of_files(root, "abc")
    assert read == ["c"]


def test_a_missing_or_broken_file_is_one_line_with_the_way_out(root: Path):
    (root / "broken.gz").write_bytes(b"no gzip")
    for name in ("missing", "broken.gz"):
        with pytest.raises(UserError, match=rf"{name} cannot be read \([^\n]+\); replace or"):
            digest_of_file(root / name)


def test_processes_that_write_at_once_leave_a_whole_cache(root: Path, cache: Path):
    code = (
        "import sys; from pathlib import Path; from etude.base import digests; "
        "digests.SETTLED_SECONDS = 0; digests.digest_of_file(Path(sys.argv[1]))"
    )
    time.sleep(0.02)
    commands = [[sys.executable, "-c", code, str(root / name)] for name in "abcabc"]
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda command: subprocess.run(command, check=True), commands))
    (file,) = cache.iterdir()
    assert set(digests._recall(file)) & set("abc")


def test_many_files_tell_their_progress(
    root: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(digests, "PROGRESS_SECONDS", -1.0)
    with caplog.at_level(logging.INFO):
        digest_of_tree(root, "abc")
    assert f"reading 3 of 3 files of {root} once, to know them again" in caplog.text
