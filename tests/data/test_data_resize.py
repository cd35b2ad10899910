import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from etude.base.errors import UserError
from etude.data import resize as module
from etude.data.resize import resize


@pytest.fixture
def images() -> Tensor:
    return torch.randint(0, 256, (5, 3, 28, 28), generator=torch.Generator().manual_seed(0)).byte()


def by_pil(images: Tensor, size: int, resampling: Image.Resampling) -> Tensor:
    resized = [
        np.asarray(Image.fromarray(image.permute(1, 2, 0).numpy()).resize((size, size), resampling))
        for image in images
    ]
    return torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("size", [8, 20, 56])  # without ties
def test_nearest_is_pils(images: Tensor, size: int):
    assert torch.equal(resize(images, size, "nearest"), by_pil(images, size, Image.NEAREST))


def test_nearest_takes_the_later_of_two_equally_near_pixels():
    image = torch.tensor([10, 20, 30, 40], dtype=torch.uint8).expand(1, 1, 4, 4)
    assert resize(image, 2, "nearest")[0, 0, 0].tolist() == [20, 40]


@pytest.mark.parametrize("size", [8, 27, 56])
def test_bilinear_is_pils_up_to_one_rounding(images: Tensor, size: int):
    mine = resize(images, size, "bilinear")
    assert mine.dtype == torch.uint8
    difference = mine.int() - by_pil(images, size, Image.BILINEAR).int()
    assert difference.abs().max() <= 1  # PIL rounds between its two passes


def test_pad_puts_two_zeros_around_mnist_for_lenet(images: Tensor):
    padded = resize(images, 32, "pad")
    assert torch.equal(padded[:, :, 2:30, 2:30], images)
    assert padded.sum() == images.sum()


def test_an_odd_margin_is_one_more_below_and_right(images: Tensor):
    assert torch.equal(resize(images, 31, "pad")[:, :, 1:29, 1:29], images)


def test_pad_refuses_to_shrink(images: Tensor):
    with pytest.raises(
        UserError, match=r"dataset.input_size=20 is less than the images' 28 pixels"
    ):
        resize(images, 20, "pad")


def test_an_unknown_interpolation_is_refused(images: Tensor):
    with pytest.raises(UserError, match=r"dataset.interpolation=bicubic does not resize"):
        resize(images, 20, "bicubic")


@pytest.mark.parametrize("size", [None, 28])
@pytest.mark.parametrize("interpolation", ["bilinear", "nearest", "pad"])
def test_nothing_is_copied_where_nothing_changes(
    images: Tensor, size: int | None, interpolation: str
):
    assert resize(images, size, interpolation) is images


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
def test_the_result_does_not_depend_on_the_chunks(
    images: Tensor, interpolation: str, monkeypatch: pytest.MonkeyPatch
):
    at_once = resize(images, 40, interpolation)
    monkeypatch.setattr(module, "CHUNK_BYTES", 2 * 4 * 3 * 40 * 40)  # two images
    assert torch.equal(resize(images, 40, interpolation), at_once)
