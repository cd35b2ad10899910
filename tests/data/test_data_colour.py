from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from augmenting import (
    LARGEST,
    assert_a_gpu_agrees,
    assert_changes_images_alike,
    pixels,
    random,
)
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as theirs

from etude.base.errors import UserError
from etude.data.augment import gather
from etude.data.augment.augment import Augment
from etude.data.augment.colour import components
from etude.data.augment.draws import normal
from etude.data.sources.decode import Form
from etude.data.sources.files import Files

CPU = torch.device("cpu")


@pytest.fixture
def images() -> Tensor:
    """Photographs are mostly light and dark: channels that go together."""
    light = random(64, 1, 8, 8) * 180
    return (light + random(64, 3, 8, 8, seed=1) * torch.tensor([70, 40, 20]).view(3, 1, 1)).byte()


def test_draws_become_normally_distributed_and_never_infinite():
    found = normal(random(200_000))
    assert found.mean() == pytest.approx(0, abs=0.01)
    assert found.std() == pytest.approx(1, abs=0.01)
    assert (found.abs() < 1.96).float().mean() == pytest.approx(0.95, abs=0.002)
    ends = normal(torch.tensor([0.0, 0.5, LARGEST]))
    assert ends.tolist() == pytest.approx([-5.42, 0, 5.42], abs=0.01)


def test_components_are_the_eigenvectors_of_the_colours_covariance(images: Tensor):
    colours = images.double().movedim(1, 0).flatten(1).numpy() / 255
    values, vectors = np.linalg.eigh(np.cov(colours, bias=True))
    found = components(images).numpy()
    for mine, value, vector in zip(found, values[::-1], vectors.T[::-1], strict=True):
        assert np.allclose(mine, 255 * value * vector * np.sign(vector[np.abs(vector).argmax()]))
    assert values[-1] > 5 * values[0]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_colours_are_added_alike_in_every_memory_format_and_to_new_images(
    images: Tensor, layout: torch.memory_format
):
    augment = Augment(colour_std=0.1).fitted(images, CPU)
    given = images.float().contiguous(memory_format=layout)
    before, draws = given.clone(), random(64, 3)
    changed = augment(given, draws)
    assert torch.equal(given, before)
    assert torch.equal(changed, augment(images, draws))
    assert changed.stride() == given.stride()


def test_what_is_added_is_the_papers_sum_for_all_pixels_of_an_image_alike(images: Tensor):
    augment = Augment(colour_std=0.1).fitted(images, CPU)
    draws = random(64, 3)
    added = augment(images.float(), draws) - images
    expected = (0.1 * normal(draws)) @ components(images)
    assert torch.allclose(added, expected.float()[:, :, None, None].expand_as(added), atol=1e-4)


def test_components_are_those_of_an_even_sample_in_memory_or_in_files(
    images: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    paths = [str(tmp_path / f"{index}.png") for index in range(64)]
    for path, image in zip(paths, images.numpy(), strict=True):
        Image.fromarray(image.transpose(1, 2, 0)).save(path)
    files = Files(paths, Form(8, "nearest"), digest="")
    assert torch.equal(components(files), components(images))
    monkeypatch.setattr("etude.data.augment.colour.SAMPLE", 20)
    assert torch.equal(components(files), components(images))
    chosen = images[torch.arange(20) * 64 // 20]
    assert torch.equal(components(images), components(chosen))
    assert not torch.equal(components(images), components(images[:20]))


def test_images_without_colours_cannot_have_them_changed_along_components():
    with pytest.raises(UserError, match=r"colour_std=0\.1 needs images of 3 channels, not 1"):
        Augment(colour_std=0.1).check(channels=1, kept=8, seen=8)


def photometric(images: Tensor, order: int, factors: tuple[float, float, float]) -> Tensor:
    """One of the six orders, with given factors of up to 1 ± 0.5."""
    draws = torch.tensor([[(order + 0.5) / 6, *factors]]).expand(len(images), 4)
    draws = torch.cat((draws[:, :1], (draws[:, 1:] - 0.5)), dim=1)
    return Augment(photometric=0.5)(images.float(), draws)


CHANGES = {
    "brightness": theirs.adjust_brightness,
    "contrast": theirs.adjust_contrast,
    "colour": theirs.adjust_saturation,
}


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 1.49])
def test_each_change_is_torchvisions(images: Tensor, place: int, factor: float):
    factors: list[float] = [1.0, 1.0, 1.0]
    factors[place] = factor
    expected = list(CHANGES.values())[place](images.float() / 255, factor) * 255
    assert torch.allclose(photometric(images, 0, tuple(factors)), expected, rtol=0, atol=0.2)


def test_the_changes_come_in_all_six_orders(images: Tensor):
    factors = (1.4, 0.6, 1.3)
    found = [photometric(images, order, factors) for order in range(6)]
    expected: list[Tensor] = []
    for order in permutations(range(3)):
        changed = images.float() / 255
        for which in order:
            changed = list(CHANGES.values())[which](changed, factors[which])
        expected.append(changed * 255)
    matches = [[bool((a - b).abs().max() < 0.5) for b in expected] for a in found]
    assert all(sum(row) == 1 for row in matches)
    assert all(sum(column) == 1 for column in zip(*matches, strict=True))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_large_images_change_as_small_ones_to_the_bit(
    monkeypatch: pytest.MonkeyPatch, channels: int, layout: torch.memory_format, kind: torch.dtype
):
    large = pixels(24, channels, 260, 255).to(kind, memory_format=layout)
    assert large[:1].numel() > gather.LARGE
    draws, before = random(24, 4), large.clone()
    one_by_one = Augment(photometric=0.9)(large, draws)
    assert torch.equal(large, before)
    monkeypatch.setattr(gather, "LARGE", 2**30)
    together = Augment(photometric=0.9)(large, draws)
    assert torch.equal(one_by_one, together)
    assert one_by_one.stride() == together.stride()


def test_factors_of_one_change_nothing(images: Tensor):
    assert torch.equal(photometric(images, 3, (1.0, 1.0, 1.0)), images.float())


def test_grey_images_change_in_contrast_and_brightness_alone():
    grey = pixels(8, 1, 8, 8)
    assert torch.equal(photometric(grey, 0, (1.0, 1.0, 0.5)), grey.float())
    three = photometric(grey.expand(8, 3, 8, 8), 1, (0.7, 1.3, 1.0))
    assert torch.allclose(photometric(grey, 1, (0.7, 1.3, 1.0)), three[:, :1], atol=1e-2)


@pytest.mark.parametrize("draw", [0.0, LARGEST])
def test_the_extremes_of_the_draws_stay_between_black_and_white(images: Tensor, draw: float):
    changed = Augment(photometric=1.0)(images.float(), torch.full((64, 4), draw))
    assert changed.min() >= 0
    assert changed.max() <= 255
    coloured = Augment(colour_std=0.1).fitted(images, CPU)(
        images.float(), torch.full((64, 3), draw)
    )
    assert coloured.isfinite().all()


@pytest.mark.parametrize("settings", [{"photometric": 0.5}, {"colour_std": 0.1}])
def test_colours_depend_on_an_image_and_its_draws_alone(images: Tensor, settings: dict[str, Any]):
    assert_changes_images_alike(Augment(**settings).fitted(images, CPU), images, 8)


@pytest.mark.parametrize("settings", [{"photometric": 0.5}, {"colour_std": 0.1}])
def test_pixels_that_are_normalised_are_refused(settings: dict[str, Any]):
    with pytest.raises(UserError, match="changes pixels from 0 to 255"):
        Augment(**settings, after_normalize=True)


@pytest.mark.gpu
def test_a_gpu_changes_contrast_and_colours_alike(images: Tensor):
    assert_a_gpu_agrees(Augment(photometric=0.5), images, 8, tolerance=1e-2)


@pytest.mark.gpu
def test_a_gpu_adds_the_same_colours(images: Tensor):
    draws = random(64, 3)
    here = Augment(colour_std=0.1).fitted(images, CPU)(images.float(), draws)
    there = Augment(colour_std=0.1).fitted(images.cuda(), torch.device("cuda"))
    assert torch.allclose(there(images.float().cuda(), draws.cuda()).cpu(), here, atol=1e-3)
