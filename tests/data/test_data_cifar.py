import hashlib
import pickle
import shutil
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
import torch
from torchvision import datasets

from etude.base.errors import UserError
from etude.data.sources.cifar import CIFAR10, CIFAR100
from etude.data.sources.pickled import read_pickled
from etude.data.sources.source import DatasetInfo

PER_FILE = 3


def pickled(value: object) -> bytes:
    """Pickle as the published files were, by Python 2 and a numpy of its time: protocol 2."""
    return b"\x80\x02" + body(value) + b"."


def body(value: object) -> bytes:
    if isinstance(value, str):
        return b"U" + bytes([len(value)]) + value.encode("latin1")
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, torch.Tensor):
        return array(value)
    if isinstance(value, Mapping):
        return b"}(" + b"".join(body(key) + body(item) for key, item in value.items()) + b"u"
    assert isinstance(value, Iterable)
    return b"](" + b"".join(body(item) for item in value) + b"e"


def array(tensor: torch.Tensor) -> bytes:
    empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR"
    # Its `align` and `copy` are the numbers 0 and 1, as then; numpy 2.4.0 to 2.4.4 warn of that.
    dtype = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNN" + 2 * body(-1) + b"K\x00tb"
    shape = b"".join(body(side) for side in tensor.shape)
    pixels = tensor.numpy().tobytes()
    content = b"T" + struct.pack("<i", len(pixels)) + pixels
    return empty + b"(K\x01(" + shape + b"t" + dtype + b"I00\n" + content + b"tb"


def pixels_of(first: int) -> torch.Tensor:
    """Three images, (3, 3072), whose planes are `first` + image + 50 for each channel."""
    planes = first + torch.arange(PER_FILE)[:, None] + torch.tensor([0, 50, 100])
    return planes.repeat_interleave(1024, dim=1).to(torch.uint8)


def publish(reader: type[datasets.CIFAR10], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lay out files in the published format, and have torchvision expect their sums."""
    key = "labels" if reader is datasets.CIFAR10 else "fine_labels"
    folder.mkdir(parents=True)

    def put(name: str, content: object) -> str:
        (folder / name).write_bytes(pickled(content))
        return hashlib.md5((folder / name).read_bytes(), usedforsecurity=False).hexdigest()

    for attribute in ("train_list", "test_list"):
        names = [name for name, _ in getattr(reader, attribute)]
        sums = [
            [name, put(name, {"data": pixels_of(10 * index), key: [index, 7, 9]})]
            for index, name in enumerate(names)
        ]
        monkeypatch.setattr(reader, attribute, sums)
    meta = reader.meta
    names = {meta["key"]: [f"class {number}" for number in range(10)]}
    monkeypatch.setattr(reader, "meta", {**meta, "md5": put(meta["filename"], names)})


def test_cifar10s_five_batches_are_read_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    publish(datasets.CIFAR10, tmp_path / "cifar-10-batches-py", monkeypatch)
    train, test, classes, _ = CIFAR10(tmp_path, download=False).load()
    assert train.images.shape == (5 * PER_FILE, 3, 32, 32)
    assert train.images.dtype == torch.uint8
    assert train.images.is_contiguous()
    # The second batch's third image: 10 + 2, and 50 more in each further channel.
    assert [int(plane.unique()) for plane in train.images[5]] == [12, 62, 112]
    assert train.labels.tolist() == [0, 7, 9, 1, 7, 9, 2, 7, 9, 3, 7, 9, 4, 7, 9]
    assert train.labels.dtype == torch.int64
    assert test.images.shape == (PER_FILE, 3, 32, 32)
    assert classes[4] == "class 4"


def test_cifar100_gives_its_fine_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    publish(datasets.CIFAR100, tmp_path / "cifar-100-python", monkeypatch)
    train, test, *_ = CIFAR100(tmp_path, download=False).load()
    assert train.labels.tolist() == test.labels.tolist() == [0, 7, 9]


def test_cifar_tells_its_published_facts(tmp_path: Path):
    assert CIFAR10(tmp_path, download=True).facts() == DatasetInfo(50_000, 10_000, 10, 3, 32)
    assert CIFAR100(tmp_path, download=True).facts() == DatasetInfo(50_000, 10_000, 100, 3, 32)


@pytest.mark.parametrize("content", [None, b""])
def test_a_missing_or_empty_batch_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
):
    folder = tmp_path / "cifar-10-batches-py"
    publish(datasets.CIFAR10, folder, monkeypatch)
    (folder / "data_batch_4").unlink()
    if content is not None:
        (folder / "data_batch_4").write_bytes(content)
    source = CIFAR10(tmp_path, download=False)
    for attempt in (source.facts, source.load):
        with pytest.raises(UserError, match=r"has no cifar-10-batches-py/data_batch_4; set"):
            attempt()


@pytest.mark.parametrize("name", ["data_batch_2", "batches.meta"])
def test_a_file_that_is_not_the_published_one_is_refused_before_it_is_unpickled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    folder = tmp_path / "cifar-10-batches-py"
    publish(datasets.CIFAR10, folder, monkeypatch)
    # A pickle that would raise KeyboardInterrupt if it were loaded.
    (folder / name).write_bytes(b"c_thread\ninterrupt_main\n(tR.")
    found = hashlib.md5((folder / name).read_bytes(), usedforsecurity=False).hexdigest()
    with pytest.raises(UserError, match=rf"{name} is not the published file: its md5 is {found}"):
        CIFAR10(tmp_path, download=False).load()


def test_cifars_name_stands_for_its_content_as_nothing_else_can_be_read(tmp_path: Path):
    for source in (CIFAR10, CIFAR100):
        assert source(tmp_path, download=False).content() is None


HARM = {
    "a function": b"cos\nsystem\n(U\x0atouch harmtR.",
    "one of numpy's": b"cnumpy\nload\n(U\x04harmtR.",
    "an old instance": b"(U\x0atouch harmios\nsystem\n.",
    "a new instance": b"\x80\x02cbuiltins\neval\n(U\x011t\x81.",
    "a name by a dot": b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93.",
    "what copyreg has": b"\x80\x02\x82\x01.",
    "what was stored": b"Pharm\n.",
    "no mapping": b"U\x04harm.",
    "half a file": pickled({"data": pixels_of(0)})[:90],
    "floats": pickled({"data": pixels_of(0)}).replace(b"u1", b"f4"),
}


@pytest.mark.parametrize("content", HARM.values(), ids=HARM)
def test_nothing_that_a_pickle_names_is_run_even_if_it_were_the_published_one(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
):
    with pytest.raises(ValueError, match=r"Error: ."):
        read_pickled(content)
    assert list(workplace.iterdir()) == []


def test_what_is_downloaded_is_not_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = tmp_path / "elsewhere"
    publish(datasets.CIFAR10, made / "cifar-10-batches-py", monkeypatch)
    monkeypatch.setattr(pickle, "load", pytest.fail)
    monkeypatch.setattr(
        datasets.CIFAR10,
        "download",
        lambda self: shutil.copytree(made, self.root, dirs_exist_ok=True),
    )
    assert len(CIFAR10(tmp_path / "data", download=True).load().train.labels) == 5 * PER_FILE
