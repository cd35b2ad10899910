import functools
import gzip
import hashlib
import http.server
import struct
import threading
from pathlib import Path

import pytest
import torch
from torchvision import datasets

from etude.base.errors import UserError
from etude.data.sources import idx
from etude.data.sources.idx import MNIST, PUBLISHED, FashionMNIST
from etude.data.sources.source import DatasetInfo

TRAIN, TEST = 12, 5
DEBIAN = idx.DEBIAN_FASHION_MNIST


def file_of(*shape: int, start: int = 0) -> bytes:
    """An idx file of bytes that count up."""
    body = bytes((start + i) % 10 for i in range(torch.Size(shape).numel()))
    return bytes((0, 0, 8, len(shape))) + struct.pack(f">{len(shape)}I", *shape) + body


FILES = {
    "train-images-idx3-ubyte": file_of(TRAIN, 4, 4),
    "train-labels-idx1-ubyte": file_of(TRAIN),
    "t10k-images-idx3-ubyte": file_of(TEST, 4, 4, start=3),
    "t10k-labels-idx1-ubyte": file_of(TEST, start=1),
}


def put(folder: Path, *, packed: bool = False) -> Path:
    folder.mkdir(parents=True)
    for name, content in FILES.items():
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


@pytest.fixture(autouse=True)
def no_system_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Fashion-MNIST of Debian's may be installed here; the tests put their own in its place."""
    monkeypatch.setattr(idx, "DEBIAN_FASHION_MNIST", tmp_path / "debian")
    monkeypatch.setenv("ETUDE_CACHE", str(tmp_path.with_name(f"{tmp_path.name}-cache")))
    return tmp_path / "debian"


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_give_the_images_that_were_written(tmp_path: Path, packed: bool):
    put(tmp_path / "MNIST" / "raw", packed=packed)
    source = MNIST(tmp_path, download=False)
    assert source.facts() == DatasetInfo(TRAIN, TEST, num_classes=10, channels=1, size=4)
    train, test, classes, _ = source.load()
    assert train.images.shape == (TRAIN, 1, 4, 4)
    assert train.images.dtype == torch.uint8
    assert train.images.flatten().tolist() == [i % 10 for i in range(TRAIN * 16)]
    assert test.labels.tolist() == [1, 2, 3, 4, 5]
    assert test.labels.dtype == torch.int64
    assert classes == tuple("0123456789")


def test_reading_packed_files_leaves_nothing_behind(tmp_path: Path):
    raw = put(tmp_path / "MNIST" / "raw", packed=True)
    MNIST(tmp_path, download=False).load()
    assert sorted(path.name for path in raw.iterdir()) == sorted(f"{name}.gz" for name in FILES)


def test_fashion_mnist_is_found_where_debian_puts_it(tmp_path: Path, no_system_files: Path):
    put(no_system_files, packed=True)
    loaded = FashionMNIST(tmp_path, download=False).load()
    assert len(loaded.train.labels) == TRAIN
    assert loaded.classes[9] == "Ankle boot"


def test_missing_files_are_refused_with_the_way_out(tmp_path: Path):
    with pytest.raises(UserError) as error:
        MNIST(tmp_path, download=False).facts()
    assert str(error.value).startswith(
        f"dataset.root={tmp_path} has no MNIST files; set dataset.download=true, or put "
        "train-images-idx3-ubyte"
    )


def test_the_one_file_that_is_missing_is_named(tmp_path: Path):
    raw = put(tmp_path / "MNIST" / "raw")
    (raw / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(UserError, match=r"has not all MNIST files; .* put t10k-labels-idx1-ubyte"):
        MNIST(tmp_path, download=False).facts()


def test_files_still_to_be_downloaded_give_the_published_facts(tmp_path: Path):
    assert MNIST(tmp_path, download=True).facts() == PUBLISHED
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("train-images-idx3-ubyte", b"<!DOCTYPE html><html>", "starts with 3c21444f"),
        ("train-images-idx3-ubyte", b"", "starts with nothing"),
        ("train-images-idx3-ubyte", file_of(TRAIN), "starts with 00000801"),
        ("t10k-images-idx3-ubyte", FILES["t10k-images-idx3-ubyte"][:-1], "is not whole"),
        ("t10k-images-idx3-ubyte", file_of(TEST, 5, 5), "holds images of 5 pixels a side"),
        ("t10k-images-idx3-ubyte", file_of(TEST, 4, 3), "holds 4x3 images"),
        ("t10k-labels-idx1-ubyte", file_of(TEST + 1), f"{TEST + 1} labels"),
    ],
)
def test_a_file_that_is_not_what_it_claims_is_named(
    tmp_path: Path, name: str, content: bytes, reason: str
):
    raw = put(tmp_path / "MNIST" / "raw")
    (raw / name).write_bytes(content)
    with pytest.raises(UserError, match=reason) as error:
        MNIST(tmp_path, download=False).facts()
    assert str(raw / name) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("damage", [lambda b: b[:-9], lambda b: b"x" + b, lambda _: b""])
def test_a_damaged_packed_file_is_named(tmp_path: Path, damage: object):
    raw = put(tmp_path / "MNIST" / "raw", packed=True)
    file = raw / "train-images-idx3-ubyte.gz"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte\.gz (is not|cannot)"):
        MNIST(tmp_path, download=False).facts()


def test_damage_inside_a_packed_file_is_found_when_it_is_read(tmp_path: Path):
    raw = put(tmp_path / "MNIST" / "raw", packed=True)
    file = raw / "t10k-labels-idx1-ubyte.gz"
    packed = bytearray(file.read_bytes())
    packed[-8] ^= 1  # the checksum
    file.write_bytes(packed)
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte\.gz cannot be unpacked \(CRC"):
        MNIST(tmp_path, download=False).load()


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Serve this test's own files where torchvision seeks MNIST."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its parent's name)
            pass

    served = put(tmp_path / "served", packed=True)
    handler = functools.partial(Quiet, directory=str(served))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}/"
    sums = [
        (path.name, hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest())
        for path in served.iterdir()
    ]
    monkeypatch.setattr(datasets.MNIST, "mirrors", [address])
    monkeypatch.setattr(datasets.MNIST, "resources", sums)
    yield served
    server.shutdown()
    server.server_close()


def test_missing_files_are_downloaded_into_place(tmp_path: Path, mirror: Path):
    root = tmp_path / "data"
    loaded = MNIST(root, download=True).load()
    assert loaded.test.labels.tolist() == [1, 2, 3, 4, 5]
    assert [path.name for path in root.iterdir()] == ["MNIST"]
    assert sorted(path.name for path in (root / "MNIST" / "raw").iterdir()) == sorted(FILES)


def test_a_download_that_fails_is_one_line_and_leaves_no_files(tmp_path: Path, mirror: Path):
    (mirror / "t10k-labels-idx1-ubyte.gz").write_bytes(b"not the published file")
    with pytest.raises(UserError, match=r"^dataset.download=true could not fetch MNIST [^\n]*$"):
        MNIST(tmp_path / "data", download=True).load()
    assert [path for path in (tmp_path / "data").rglob("*") if path.is_file()] == []


@pytest.mark.skipif(not Path("data/MNIST/raw").is_dir(), reason="needs MNIST in data/")
def test_mnist_itself_is_read():
    source = MNIST("data", download=False)
    assert source.facts() == PUBLISHED
    train, test, *_ = source.load()
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]


def contents(root: Path, source: type[MNIST] = MNIST) -> str | None:
    return source(root, download=False).content()


def test_packed_and_unpacked_files_are_one_content_wherever_they_lie(tmp_path: Path):
    put(tmp_path / "one" / "MNIST" / "raw")
    put(tmp_path / "other" / "MNIST" / "raw", packed=True)
    content = contents(tmp_path / "one")
    assert content is not None
    assert contents(tmp_path / "other") == content
    (tmp_path / "other" / "MNIST" / "raw" / "train-images-idx3-ubyte.gz").unlink()
    assert contents(tmp_path / "other") is None
    plain = tmp_path / "other" / "MNIST" / "raw" / "train-images-idx3-ubyte"
    plain.write_bytes(FILES["train-images-idx3-ubyte"])
    assert contents(tmp_path / "other") == content


@pytest.mark.parametrize("name", FILES)
def test_another_byte_in_any_file_is_another_content(tmp_path: Path, name: str):
    raw = put(tmp_path / "MNIST" / "raw")
    before = contents(tmp_path)
    changed = bytearray(FILES[name])
    changed[-1] ^= 1
    (raw / name).write_bytes(changed)
    assert contents(tmp_path) not in {before, None}


def test_a_damaged_packed_file_is_named_when_its_content_is_asked_for(tmp_path: Path):
    raw = put(tmp_path / "MNIST" / "raw", packed=True)
    (raw / "t10k-labels-idx1-ubyte.gz").write_bytes(b"no gzip")
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte\.gz cannot be read"):
        contents(tmp_path)


def test_files_that_are_not_there_have_no_content_and_are_not_downloaded(tmp_path: Path):
    for download in (False, True):
        assert MNIST(tmp_path, download=download).content() is None
    assert list(tmp_path.iterdir()) == []


def test_published_files_have_no_content_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    put(tmp_path / "MNIST" / "raw", packed=True)
    sums = tuple(hashlib.sha256(content).hexdigest()[:32] for content in FILES.values())
    monkeypatch.setattr(MNIST, "published", sums)
    assert contents(tmp_path) is None


@pytest.mark.skipif(not Path("data/MNIST/raw").is_dir(), reason="needs MNIST in data/")
def test_mnist_itself_is_the_published_one():
    assert MNIST("data", download=False)._look() is not None
    assert contents(Path("data")) is None


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="needs Debian's dataset-fashion-mnist")
def test_debians_fashion_mnist_is_the_published_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(idx, "DEBIAN_FASHION_MNIST", DEBIAN)
    assert FashionMNIST(tmp_path, download=False)._look() is not None
    assert contents(tmp_path, FashionMNIST) is None


def test_a_bit_that_is_not_as_published_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    put(tmp_path / "MNIST" / "raw")
    source = MNIST(tmp_path, download=False)
    monkeypatch.setattr(idx, "PUBLISHED", source.facts())
    digests = idx.digests_of_files(source.raw, FILES).values()
    monkeypatch.setattr(MNIST, "published", tuple(digests))
    source.load()
    assert not caplog.text
    image = source.raw / "train-images-idx3-ubyte"
    held = bytearray(image.read_bytes())
    held[-1] ^= 1
    image.write_bytes(held)
    source.load()
    assert "not the published MNIST" in caplog.text
    assert source.content() is not None
