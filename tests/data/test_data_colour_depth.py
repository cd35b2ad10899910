"""Image files of every depth and mode give the pixels that a viewer shows."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from etude.base.errors import UserError
from etude.data.sources import folder as module
from etude.data.sources.decode import Form, read_image
from etude.data.sources.folder import Folder
from etude.data.sources.listing import list_images

STEPS = np.array([[0, 64], [128, 255]])
FORM = Form(2, "nearest")


def grey(path: Path) -> list[list[int]]:
    pixels = read_image(str(path), FORM)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0].tolist()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("16.png", (STEPS * 257).astype(np.uint16)),
        ("16.tif", (STEPS * 257).astype(np.uint16)),
        ("32.tif", (STEPS * 16843009).astype(np.uint32).view(np.int32)),
        ("float.tif", (STEPS / 255).astype(np.float32)),
        ("8.png", STEPS.astype(np.uint8)),
    ],
)
def test_a_grey_image_is_as_bright_in_every_depth(tmp_path: Path, name: str, values: np.ndarray):
    Image.fromarray(values).save(tmp_path / name)
    assert grey(tmp_path / name) == STEPS.tolist()


def test_a_portable_greymap_of_16_bits_is_scaled_too(tmp_path: Path):
    values = (STEPS * 257).astype(">u2")
    (tmp_path / "a.pgm").write_bytes(b"P5 2 2 65535\n" + values.tobytes())
    assert grey(tmp_path / "a.pgm") == STEPS.tolist()


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (np.float32([[0, 200.0]]), "fractions are not all within 0 and 1"),
        (np.float32([[0, np.nan]]), "fractions are not all within 0 and 1"),
        (np.int32([[0, 4000]]), "all would be black"),
    ],
)
def test_an_image_whose_brightness_cannot_be_told_is_refused(
    tmp_path: Path, values: np.ndarray, why: str
):
    Image.fromarray(values).save(tmp_path / "a.tif")
    with pytest.raises(UserError, match=rf"a\.tif cannot be decoded \(its .*{why}"):
        read_image(str(tmp_path / "a.tif"), FORM)


def test_what_is_transparent_is_white(tmp_path: Path):
    pixels = np.uint8([[[9, 8, 7, 255], [9, 8, 7, 0]]])
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert read_image(str(tmp_path / "a.png"), FORM)[0].tolist() == [[9, 8, 7], [255] * 3]
    palette = Image.fromarray(np.uint8([[0, 1]]), "L").convert("P")
    palette.save(tmp_path / "b.png", transparency=1)
    assert read_image(str(tmp_path / "b.png"), FORM)[0, 1].tolist() == [255] * 3


def test_a_photograph_is_turned_as_its_camera_says(tmp_path: Path):
    wide = Image.fromarray(np.uint8([[0, 255], [0, 255]]))
    exif = Image.Exif()
    exif[0x0112] = 6  # its top is at the right
    wide.save(tmp_path / "a.png", exif=exif)
    assert grey(tmp_path / "a.png") == [[0, 0], [255, 255]]


def photos(root: Path) -> Path:
    for part in ("train", "test"):
        (root / part / "cat").mkdir(parents=True)
        Image.fromarray(STEPS.astype(np.uint8)).save(root / part / "cat" / "1.png")
    return root


def source(root: Path, **changes: object) -> Folder:
    given = {"train": "train", "test": "test", "input_size": 2, "interpolation": "nearest"}
    return Folder(root, **(given | changes))


def test_another_way_of_decoding_is_another_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ETUDE_CACHE", str(tmp_path / "cache"))
    found = source(photos(tmp_path / "photos"))
    before = found.content()
    monkeypatch.setattr(module, "DECODER", module.DECODER + 1)
    assert found.content() != before


@pytest.mark.parametrize("test", ["train", "./train", "test/../train"])
def test_the_training_images_are_no_test(tmp_path: Path, test: str):
    with pytest.raises(UserError, match=r"dataset\.test=.*folder of its own"):
        source(photos(tmp_path), test=test).facts()


def test_a_loop_of_links_is_refused(tmp_path: Path):
    cats = photos(tmp_path) / "train" / "cat"
    (cats / "again").symlink_to(cats.parent)
    with pytest.raises(UserError, match="again is a link to a folder that it is in"):
        list_images(tmp_path / "train")


def test_a_class_that_is_no_utf8_is_refused(tmp_path: Path):
    os.mkdir(os.fsencode(photos(tmp_path) / "train") + b"/caf\xe9")  # noqa: PTH102
    with pytest.raises(UserError, match=r"caf\\xe9.*no UTF-8"):
        list_images(tmp_path / "train")


def test_images_that_are_left_out_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (photos(tmp_path) / "train" / "cat" / "2.gif").touch()
    with caplog.at_level("WARNING", "etude"):
        list_images(tmp_path / "train")
    assert "cat has .gif files, which are left out" in caplog.text
