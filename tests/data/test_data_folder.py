import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets.folder import IMG_EXTENSIONS, make_dataset

from etude.base import progress
from etude.base.errors import UserError
from etude.data.sources import folder as module
from etude.data.sources.folder import Folder
from etude.data.sources.listing import EXTENSIONS, list_images
from etude.data.sources.source import DatasetInfo, Labelled

NOISE = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ETUDE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path: Path, cache: Path) -> Path:
    """Two parts, two classes, several formats, shapes and modes."""
    photos = tmp_path / "photos"
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (photos / part / name).mkdir(parents=True)
            Image.fromarray(NOISE).save(photos / part / name / "1.png")
    Image.fromarray(NOISE[:20]).save(photos / "train" / "cat" / "2.JPG")
    Image.fromarray(NOISE[:, :, 0]).save(photos / "train" / "dog" / "grey.png")
    return photos


def source(root: Path, **changes: object) -> Folder:
    settings = {"train": "train", "test": "test", "input_size": 8, "interpolation": "nearest"}
    return Folder(root, **(settings | changes))


def test_a_folders_facts_are_told_without_opening_an_image(root: Path):
    (root / "test" / "cat" / "broken.jpg").write_bytes(b"")
    assert source(root).facts() == DatasetInfo(4, 3, num_classes=2, channels=3, size=8)


@pytest.fixture
def three(root: Path) -> Path:
    """The same, with a class between them."""
    for part in ("train", "test"):
        (root / part / "cow").mkdir()
        Image.fromarray(NOISE[::-1]).save(root / part / "cow" / "1.png")
    return root


def test_only_the_chosen_classes_are_taken_in_their_usual_order(three: Path):
    chosen = source(three, classes=["dog", "cat"])
    assert chosen.facts() == DatasetInfo(4, 2, num_classes=2, channels=3, size=8)
    loaded = chosen.load()
    assert loaded.classes == ("cat", "dog")
    assert loaded.train.labels.tolist() == [0, 0, 1, 1]
    assert len({source(three, classes=own).content() for own in (None, ["cat", "dog"])}) == 2


def test_a_class_that_is_not_chosen_may_be_empty(three: Path):
    for part in ("train", "test"):
        for image in (three / part / "cow").iterdir():
            image.unlink()
    assert source(three, classes=["cat", "dog"]).facts().num_classes == 2
    with pytest.raises(UserError, match="cow has no images"):
        source(three, classes=["cat", "cow"]).facts()
    with pytest.raises(UserError, match="cow has no images"):
        source(three).facts()


def test_the_last_two_of_three_classes_are_numbered_from_0(three: Path):
    loaded = source(three, classes=["cow", "dog"]).load()
    assert loaded.train.labels.tolist() == [0, 1, 1]
    assert torch.equal(loaded.train.images[0], loaded.test.images[0])  # the cow


@pytest.mark.parametrize(
    ("classes", "told"),
    [(["cat", "dogs"], "dataset.classes: dogs: there is no such class; did you mean 'dog'?"),
     (["cat"], r"dataset.classes=\[cat\]: give two classes or more, or null for all"),
     (["cat", "dog", "cat"], r"dataset.classes=\[cat,dog,cat\]: a class comes twice"),
     ([], r"dataset.classes=\[\]: give two")],
)  # fmt: skip
def test_classes_that_cannot_be_chosen_are_refused(root: Path, classes: list[str], told: str):
    with pytest.raises(UserError, match=told):
        source(root, classes=classes).facts()


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "lanczos"])
def test_images_are_resized_straight_to_the_square_by_pil(root: Path, interpolation: str):
    loaded = source(root, interpolation=interpolation).load()
    resampling = Image.Resampling[interpolation.upper()]
    expected = np.asarray(Image.fromarray(NOISE).resize((8, 8), resampling)).transpose(2, 0, 1)
    assert np.array_equal(loaded.test.images[0].numpy(), expected)


@pytest.mark.parametrize("shape", [(42, 30), (30, 42), (30, 30)])
def test_a_cropped_image_keeps_its_aspect_and_its_middle(root: Path, shape: tuple[int, int]):
    image = Image.fromarray(NOISE[:30]).resize(shape[::-1])
    image.save(root / "test" / "cat" / "1.png")
    loaded = source(root, fit="crop", input_size=15, interpolation="bilinear").load()
    half = image.resize((shape[1] // 2, shape[0] // 2), Image.Resampling.BILINEAR)
    top, left = ((side - 15) // 2 for side in half.size[::-1])
    middle = np.asarray(half)[top : top + 15, left : left + 15].transpose(2, 0, 1).astype(int)
    inner = np.abs(loaded.test.images[0].numpy() - middle)[:, 1:-1, 1:-1]
    assert inner.max() <= 1  # PIL rounds between its two passes


def test_images_are_decoded_at_the_load_size_and_the_facts_tell_what_is_seen(root: Path):
    larger = source(root, load_size=10)
    assert larger.facts().size == 8
    assert larger.load().train.images.shape == (4, 3, 10, 10)


def test_grey_images_become_three_equal_channels(root: Path):
    grey = source(root).load().train.images[3]
    assert torch.equal(grey[0], grey[1])
    assert torch.equal(grey[0], grey[2])


def test_labels_follow_the_classes_in_alphabetical_order(root: Path):
    loaded = source(root).load()
    assert loaded.classes == ("cat", "dog")
    assert loaded.train.labels.tolist() == [0, 0, 1, 1]
    assert loaded.train.images.shape == (4, 3, 8, 8)


def test_a_listing_is_torchvisions_with_nested_folders_and_other_files(root: Path):
    cats = root / "train" / "cat"
    (cats / "inner").mkdir()
    for name in ("z.txt", "b.webp", "inner/a.jpeg", "inner/c.tiff"):
        (cats / name).touch()
    listing = list_images(root / "train")
    expected = make_dataset(root / "train", extensions=IMG_EXTENSIONS)
    found = [image.path for image in listing.images]
    assert sorted(zip(found, listing.labels, strict=True)) == sorted(expected)


def test_the_extensions_are_torchvisions():
    assert EXTENSIONS == IMG_EXTENSIONS


def test_hidden_files_and_folders_are_passed_over(root: Path):
    (root / "train" / ".ipynb_checkpoints").mkdir()
    (root / "train" / "cat" / ".thumbnails").mkdir()
    (root / "train" / "cat" / ".thumbnails" / "1.png").touch()
    (root / "train" / "cat" / "._1.png").touch()
    assert source(root).facts().train_images == 4


def test_a_missing_part_is_refused(root: Path):
    with pytest.raises(UserError, match=r"dataset.root has no folder .*valid"):
        source(root, test="valid").facts()


def test_a_part_without_classes_is_refused(root: Path):
    (root / "empty").mkdir()
    with pytest.raises(UserError, match="empty has no class folders"):
        source(root, test="empty").facts()


def test_a_class_without_images_is_refused(root: Path):
    (root / "test" / "dog" / "1.png").unlink()
    with pytest.raises(UserError, match="dog has no images"):
        source(root).facts()


def test_parts_with_different_classes_are_refused(root: Path):
    (root / "test" / "dog").rename(root / "test" / "horse")
    with pytest.raises(UserError, match="class dog is in train but not in test"):
        source(root).facts()


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ({"input_size": None}, "dataset.input_size=null"),
        ({"input_size": 0}, "dataset.input_size=0"),
        ({"interpolation": "pad"}, "dataset.interpolation=pad"),
        ({"load_size": 7}, "dataset.load_size=7 must be at least dataset.input_size=8"),
        ({"fit": "squeeze"}, "dataset.fit=squeeze is unknown"),
        ({"cut_from": "nowhere"}, "dataset.cut_from=nowhere is unknown"),
        ({"cut_from": "original", "stream": False}, "dataset.stream cannot be false"),
        ({"cut_from": "original", "interpolation": "lanczos"}, "by bilinear or nearest"),
    ],
)
def test_an_impossible_setting_is_refused(root: Path, setting: dict[str, object], reason: str):
    for attempt in (source(root, **setting).facts, source(root, **setting).load):
        with pytest.raises(UserError, match=reason):
            attempt()


@pytest.mark.parametrize("keep", [0, 20, 1000])
def test_an_image_that_cannot_be_decoded_is_named(root: Path, keep: int):
    whole = root / "train" / "cat" / "1.png"
    broken = root / "train" / "dog" / "2.png"
    broken.write_bytes(whole.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"dog/2\.png cannot be decoded") as error:
        source(root).load()
    assert "\n" not in str(error.value)


def test_more_pixels_than_the_machine_has_memory_are_refused(root: Path):
    with pytest.raises(UserError, match="GiB of memory as pixels"):
        source(root, input_size=10_000_000, stream=False).load()


def same(one: Labelled, other: Labelled) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def pixels(cache: Path) -> list[Path]:
    """List the caches of decoded images."""
    return [file for file in cache.iterdir() if file.suffix == ".safetensors"]


def test_a_second_load_reads_the_cache_and_decodes_no_image(
    root: Path, monkeypatch: pytest.MonkeyPatch
):
    first = source(root).load()

    def decode(*_: object) -> None:
        raise AssertionError("an image was opened")

    monkeypatch.setattr(Image, "open", decode)
    second = source(root).load()
    assert same(first.train, second.train)
    assert same(first.test, second.test)


def change_pixels(root: Path) -> Folder:
    Image.fromarray(255 - NOISE).save(root / "test" / "dog" / "1.png")
    return source(root)


def rename(root: Path) -> Folder:
    (root / "test" / "dog" / "1.png").rename(root / "test" / "dog" / "0.png")
    return source(root)


@pytest.mark.parametrize(
    "change",
    [
        change_pixels,
        rename,
        lambda root: source(root, input_size=9),
        lambda root: source(root, interpolation="bilinear"),
        lambda root: source(root, load_size=9),
        lambda root: source(root, fit="crop"),
    ],
)
def test_whatever_decides_the_pixels_makes_another_cache(root: Path, cache: Path, change: object):
    source(root).load()
    change(root).load()
    assert len(pixels(cache)) == 2


def test_a_file_that_was_only_touched_keeps_the_cache(root: Path, cache: Path):
    source(root).load()
    os.utime(root / "test" / "dog" / "1.png", ns=(1, 1))
    source(root).load()
    assert len(pixels(cache)) == 1


def test_a_decoder_that_changes_makes_another_cache(
    root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
):
    source(root).load()
    monkeypatch.setattr(module, "DECODER", -1)
    source(root).load()
    assert len(pixels(cache)) == 2


def test_a_folder_that_moved_keeps_its_cache(root: Path, cache: Path):
    source(root).load()
    source(root.rename(root.with_name("elsewhere"))).load()
    assert len(pixels(cache)) == 1


def test_a_damaged_cache_is_made_again(root: Path, cache: Path, caplog: pytest.LogCaptureFixture):
    first = source(root).load()
    (file,) = pixels(cache)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert same(source(root).load().test, first.test)
    assert "is damaged; it is made again" in caplog.text
    assert file.read_bytes() != content


def test_decoding_tells_its_progress(
    root: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(progress, "SECONDS", -1.0)
    with caplog.at_level(logging.INFO):
        source(root).load()
    assert "decoding images: 6 of 6" in caplog.text


def test_a_folders_content_is_the_same_wherever_it_lies_and_whatever_it_is_called(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    content = source(root).content()
    assert content is not None
    moved = shutil.copytree(root, tmp_path / "a" / "pictures")
    assert source(moved).content() == content
    for place, relative in ((moved, "."), (moved.parent, "pictures")):
        monkeypatch.chdir(place)
        assert source(Path(relative)).content() == content
    whole = {"train": ".", "test": "."}
    monkeypatch.chdir(moved / "train")
    assert source(Path(), **whole).content() == source(moved / "train", **whole).content()


def test_folders_of_one_name_with_other_images_are_of_other_content(root: Path, tmp_path: Path):
    other = shutil.copytree(root, tmp_path / "b" / root.name)
    assert source(other).content() == source(root).content()
    Image.fromarray(255 - NOISE).save(other / "test" / "dog" / "1.png")
    assert source(other).content() != source(root).content()


def test_an_image_of_the_same_size_and_time_is_seen_to_be_another(root: Path):
    before, file = source(root).content(), root / "train" / "cat" / "2.JPG"
    status, image = file.stat(), bytearray(file.read_bytes())
    image[-20] ^= 1
    file.write_bytes(image)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert source(root).content() != before


def swap_parts(root: Path) -> None:
    for old, new in (("train", "aside"), ("test", "train"), ("aside", "test")):
        (root / old).rename(root / new)


@pytest.mark.parametrize(
    "change",
    [
        rename,
        swap_parts,
        lambda root: (root / "train" / "cat" / "1.png").unlink(),
        lambda root: (root / "train" / "cat" / "1.png").rename(root / "train" / "dog" / "0.png"),
    ],
)
def test_names_classes_and_parts_are_of_a_folders_content(root: Path, change: object):
    before = source(root).content()
    change(root)
    assert source(root).content() not in {before, None}


def test_what_is_not_read_is_not_of_a_folders_content(root: Path):
    before = source(root).content()
    for name in ("notes.txt", "train/cat/list.csv", "train/cat/.hidden.png", "train/.old/1.png"):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("else")
    assert source(root, input_size=9, interpolation="bilinear").content() == before


def test_a_folder_that_is_not_there_or_not_whole_has_no_content(root: Path):
    assert source(root / "elsewhere").content() is None
    assert source(root, test="valid").content() is None


@pytest.mark.skipif(not Path("data/catdog").is_dir(), reason="needs document 003's photographs")
def test_document_003s_cats_and_dogs_are_337_and_59(cache: Path):
    photographs = source(Path("data/catdog"), test="validation", input_size=32)
    loaded = photographs.load()
    assert photographs.facts() == DatasetInfo(337, 59, num_classes=2, channels=3, size=32)
    assert loaded.classes == ("cat", "dog")
    assert (len(loaded.train.labels), len(loaded.test.labels)) == (337, 59)
