"""Windows that are cut out of image files themselves, decoded in another way than whole images."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from etude.base.errors import UserError
from etude.data.sources.colour import in_rgb
from etude.data.sources.decode import Form, Window, read_window

SIDE = 24
STRETCHED, CROPPED = Form(SIDE, "bilinear"), Form(SIDE, "bilinear", "crop")
WHOLE = Window(0.0, 0.0, 1.0, 1.0, "bilinear")
NOISE = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 4), dtype=np.uint8)
COLOUR, GREY = Image.fromarray(NOISE[..., :3]), Image.fromarray(NOISE[..., 0])


def apart(given: torch.Tensor, expected: np.ndarray) -> float:
    """The largest difference of a pixel (3, H, W) from what it should be, (H, W, 3)."""
    return np.abs(given.permute(1, 2, 0).numpy().astype(float) - expected).max()


def turned(path: Path) -> None:
    """As a camera that was held on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    COLOUR.save(path, exif=exif)


KINDS: dict[str, Callable[[Path], None]] = {
    "colour.jpg": lambda path: COLOUR.save(path, quality=95),
    "progressive.jpg": lambda path: COLOUR.save(path, progressive=True, subsampling=0),
    "grey.jpg": GREY.save,
    "cmyk.jpg": COLOUR.convert("CMYK").save,
    "turned.jpg": turned,
    "colour.png": COLOUR.save,
    "palette.png": COLOUR.quantize(16).save,
    "transparent.png": Image.fromarray(NOISE, "RGBA").save,
    "16.png": Image.fromarray(NOISE[..., 0].astype(np.uint16) * 257).save,
    "colour.webp": COLOUR.save,
    "jpeg.png": lambda path: COLOUR.save(path, "JPEG"),
}


@pytest.mark.parametrize("name", KINDS)
def test_an_image_of_any_kind_has_the_pixels_that_pil_gives(tmp_path: Path, name: str):
    KINDS[name](tmp_path / name)
    with Image.open(tmp_path / name) as image:
        expected = np.array(in_rgb(image))
    given = read_window(str(tmp_path / name), WHOLE, STRETCHED, SIDE)
    assert np.array_equal(given.permute(1, 2, 0).numpy(), expected)


@pytest.mark.parametrize("size", [7, 12, 40])
def test_a_window_is_resized_as_pil_does_it_up_to_rounding(tmp_path: Path, size: int):
    COLOUR.save(tmp_path / "a.png")
    window = Window(3 / SIDE, 0.5, 20 / SIDE, 1.0, "bilinear")
    given = read_window(str(tmp_path / "a.png"), window, STRETCHED, size)
    cut = COLOUR.crop((12, 3, 24, 20)).resize((size, size), Image.Resampling.BILINEAR)
    assert apart(given, np.asarray(cut)) <= 1


def test_a_bicubic_window_is_torchs_of_the_same_pixels(tmp_path: Path):
    COLOUR.save(tmp_path / "a.png")
    given = read_window(str(tmp_path / "a.png"), WHOLE._replace(kind="bicubic"), STRETCHED, 15)
    floats = torch.from_numpy(NOISE[None, ..., :3].copy()).permute(0, 3, 1, 2).float()
    smooth = functional.interpolate(floats, (15, 15), mode="bicubic", antialias=True)
    assert apart(given, smooth[0].clamp(0, 255).permute(1, 2, 0).numpy()) <= 1.5


def test_the_nearest_pixels_are_those_under_the_new_ones_centres(tmp_path: Path):
    COLOUR.save(tmp_path / "a.png")
    given = read_window(str(tmp_path / "a.png"), WHOLE._replace(kind="nearest"), STRETCHED, 8)
    assert np.array_equal(given.permute(1, 2, 0).numpy(), NOISE[1::3, 1::3, :3])


def test_a_window_is_a_part_of_what_becomes_the_square(tmp_path: Path):
    wide = np.concatenate((NOISE[:16, :, :3], NOISE[:16, :8, :3]), axis=1)  # 16 × 32
    Image.fromarray(wide).save(tmp_path / "a.png")
    cropped = read_window(
        str(tmp_path / "a.png"), Window(2 / 16, 3 / 16, 12 / 16, 13 / 16, "bilinear"), CROPPED, 10
    )
    assert apart(cropped, wide[2:12, 11:21]) == 0
    window = Window(2 / 16, 0.25, 12 / 16, 0.75, "bilinear")
    stretched = read_window(str(tmp_path / "a.png"), window, STRETCHED, 10)
    resized = Image.fromarray(wide[2:12, 8:24]).resize((10, 10), Image.Resampling.BILINEAR)
    assert apart(stretched, np.asarray(resized)) <= 1


@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_a_window_of_less_than_a_pixel_is_one(tmp_path: Path, place: float):
    COLOUR.resize((2, 2)).save(tmp_path / "a.png")
    given = read_window(str(tmp_path / "a.png"), Window(*[place] * 4, "bilinear"), STRETCHED, 3)
    assert (given == given[:, :1, :1]).all()


@pytest.mark.parametrize("name", ["colour.jpg", "grey.jpg", "colour.png", "turned.jpg"])
@pytest.mark.parametrize("kept", [0, 0.1, 0.7])
def test_a_file_that_breaks_off_is_told_by_its_name(tmp_path: Path, name: str, kept: float):
    path = tmp_path / name
    KINDS[name](path)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(UserError, match=rf"{name} cannot be decoded \(.+\); replace or remove it"):
        read_window(str(path), WHOLE, STRETCHED, SIDE)
