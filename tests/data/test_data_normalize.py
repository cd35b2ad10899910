from pathlib import Path

import pytest
import torch
from torch import Tensor

from etude.base.errors import UserError
from etude.data.augment.gather import LARGE
from etude.data.normalize import MODES, fit, statistics
from etude.data.sources.digits import Digits
from etude.data.sources.idx import MNIST


@pytest.fixture
def images() -> Tensor:
    """More images than one chunk holds; the channels differ."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 128, (1500, 3, 4, 4), generator=generator)
    return (noise + torch.tensor([0, 50, 127]).view(3, 1, 1)).byte()


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other.float(), rtol=0, atol=1e-5)


def test_none_leaves_pixels_as_they_are(images: Tensor):
    assert torch.equal(fit("none", images)(images), images.float())


def test_unit_maps_a_byte_onto_0_to_1(images: Tensor):
    assert close(fit("unit", images)(images), images.double() / 255)


def test_mean_std_standardises_every_channel_of_the_training_images(images: Tensor):
    result = fit("mean_std", images)(images).double()
    assert torch.allclose(result.mean((0, 2, 3)), torch.zeros(3).double(), atol=1e-6)
    assert torch.allclose(result.std((0, 2, 3), correction=0), torch.ones(3).double(), atol=1e-6)


def test_statistics_are_those_of_float64(images: Tensor):
    mean, std = statistics(images)
    exact = images.double() / 255
    assert mean == pytest.approx(exact.mean((0, 2, 3)).tolist(), rel=1e-12)
    assert std == pytest.approx(exact.std((0, 2, 3), correction=0).tolist(), rel=1e-12)


def test_given_statistics_are_used_in_place_of_the_images_own(images: Tensor):
    mean, std = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
    expected = (images.double() / 255 - _channels(mean)) / _channels(std)
    assert close(fit("mean_std", images, mean, std)(images), expected)


def test_a_given_mean_goes_with_the_images_own_std(images: Tensor):
    mean = [0.0, 0.0, 0.0]
    expected = images.double() / 255 / _channels(statistics(images)[1])
    assert close(fit("mean_std", images, mean)(images), expected)


def test_a_constant_channel_becomes_zero_and_not_nan():
    images = torch.full((4, 1, 2, 2), 7, dtype=torch.uint8)
    assert torch.allclose(fit("mean_std", images)(images), torch.zeros(4, 1, 2, 2), atol=1e-7)


def test_mean_only_subtracts_document_004s_means_on_the_byte_scale(images: Tensor):
    means = [123.68, 116.779, 103.939]
    assert close(fit("mean_only", images, means)(images), images.double() - _channels(means))


def test_mean_only_computes_the_means_where_none_are_given(images: Tensor):
    expected = images.double() - images.double().mean((0, 2, 3), keepdim=True)
    result = fit("mean_only", images)(images)
    assert torch.allclose(result, expected.float(), rtol=0, atol=1e-4)


def test_pixel_mean_subtracts_the_training_images_mean_image(images: Tensor):
    expected = images.double() / 255 - images.double().mean(0, keepdim=True) / 255
    assert close(fit("pixel_mean", images)(images), expected)


def test_caffe_is_kerass_preprocess_input():
    red = torch.tensor([200, 100, 50], dtype=torch.uint8).view(1, 3, 1, 1)
    result = fit("caffe", red)(red)
    expected = _channels([50 - 103.939, 100 - 116.779, 200 - 123.68])
    assert torch.allclose(result, expected.float(), rtol=0, atol=1e-4)


def test_lecun_maps_background_to_minus_a_tenth_and_ink_to_1_175():
    ends = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)
    assert fit("lecun", ends)(ends).flatten().tolist() == pytest.approx([-0.1, 1.175], abs=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_floats_and_bytes_are_mapped_alike_and_left_unchanged(images: Tensor, mode: str):
    normalize = fit(mode, images)
    floats = images.float()
    result = normalize(floats)
    assert torch.equal(result, normalize(images))
    assert result.dtype == torch.float32
    assert torch.equal(floats, images.float())


@pytest.mark.parametrize("mode", MODES)
def test_a_map_that_is_laid_out_gives_the_same_numbers_in_that_memory_format(
    images: Tensor, mode: str
):
    normalize = fit(mode, images)
    channels_last = images.contiguous(memory_format=torch.channels_last)
    result = normalize.laid_out(channels_last)(channels_last)
    assert torch.equal(result, normalize(images))
    assert result.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_large_images_are_mapped_one_by_one_to_the_same_numbers(
    mode: str, layout: torch.memory_format, kind: torch.dtype
):
    large = (torch.rand(3, 3, 151, 149) * 256).byte()
    assert large[0].numel() > LARGE
    normalize = fit(mode, large)
    large = large.to(kind, memory_format=layout)
    made = torch.empty_like(large, dtype=torch.float32)
    before = large.clone()
    assert normalize.laid_out(large)(large, out=made) is made
    assert torch.equal(made, normalize(large))
    assert torch.equal(large, before)


@pytest.mark.parametrize(
    ("mode", "mean", "std", "reason"),
    [
        ("imagenet", None, None, "dataset.normalize=imagenet is unknown"),
        ("unit", [0.0] * 3, None, "dataset.mean is not used by dataset.normalize=unit"),
        ("mean_only", None, [1.0] * 3, "dataset.std is not used by dataset.normalize=mean_only"),
        ("mean_std", [0.5], None, "dataset.mean has 1 number for 3 channels"),
        ("mean_std", None, [0.5, 0.0, 0.5], r"dataset.std=\[0.5, 0.0, 0.5\] must be above 0"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    images: Tensor, mode: str, mean: list[float] | None, std: list[float] | None, reason: str
):
    with pytest.raises(UserError, match=reason):
        fit(mode, images, mean, std)


def test_caffe_refuses_grey_images():
    with pytest.raises(UserError, match=r"dataset.normalize=caffe needs 3 channels, not 1"):
        fit("caffe", Digits().load().train.images)


@pytest.mark.skipif(not Path("data/MNIST/raw").is_dir(), reason="needs MNIST in data/")
def test_mnists_training_images_have_the_published_mean_and_std():
    mean, std = statistics(MNIST("data", download=False).load().train.images)
    assert (round(mean[0], 4), round(std[0], 4)) == (0.1307, 0.3081)


def _channels(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).view(1, -1, 1, 1)
