import pytest
import torch
from augmenting import (
    LARGEST,
    assert_a_gpu_agrees,
    assert_changes_images_alike,
    pixels,
    random,
    whole,
)
from torch import Tensor
from torch.nn import functional
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import resized_crop

from etude.base.errors import UserError
from etude.data.augment.augment import Augment
from etude.data.augment.crop import Area, Place, Scaled
from etude.data.resample import Span, resample

MODES = {
    "nearest": InterpolationMode.NEAREST_EXACT,
    "bilinear": InterpolationMode.BILINEAR,
    "bicubic": InterpolationMode.BICUBIC,
}
CROPS = [
    {"crop": "place"},
    {"crop": "place", "scales": (12, 30)},
    {"crop": "area"},
    {"crop": "area", "crop_area": (0.02, 0.5), "interpolation": "bicubic"},
    {"crop": "area", "interpolation": "nearest"},
    {"crop": "area", "interpolation": "random"},
]


@pytest.fixture
def images() -> Tensor:
    return pixels(40, 3, 20, 20)


def windows_of(crop: Area, n: int, side: int = 100) -> Tensor:
    """Top, left, height and width of windows, read from two ramps that they are cut out of."""
    ramp = torch.arange(float(side)).expand(side, side)
    ramps = torch.stack((ramp.T, ramp)).expand(n, 2, side, side)
    cut = crop(ramps, random(n, crop.draws), side)
    low, high = cut.amin((2, 3)), cut.amax((2, 3))
    return torch.cat((low, high - low + 1), dim=1)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("box", [(3, 5, 9, 7), (0, 0, 20, 20), (19, 0, 1, 20), (7, 7, 12, 12)])
@pytest.mark.parametrize("size", [5, 12, 31])
def test_a_window_is_brought_to_its_size_as_torchvision_does(
    images: Tensor, mode: str, box: tuple[int, int, int, int], size: int
):
    floats = images.float()
    spans = [
        Span(torch.full((40,), start).double(), torch.full((40,), length).double(),
             torch.full((40,), start), torch.full((40,), start + length - 1))
        for start, length in (box[::2], box[1::2])
    ]  # fmt: skip
    expected = resized_crop(floats, *box, [size, size], MODES[mode], antialias=False)
    given = resample(images, *spans, size, mode)
    assert torch.allclose(given, expected.clamp(0, 255), rtol=0, atol=2e-3)  # theirs in float32


def test_a_crop_of_an_area_is_torchvisions_of_its_window(images: Tensor):
    draws = random(40, 4)
    given = Area((0.08, 1.0), (0.75, 4 / 3), "bilinear")(images, draws, 12)
    places = windows_of(Area((0.08, 1.0), (0.75, 4 / 3), "nearest"), 40, side=20).long()
    for image, (top, left, tall, wide), mine in zip(images, places.tolist(), given, strict=True):
        expected = resized_crop(image.float(), top, left, tall, wide, [12, 12], antialias=False)
        assert torch.allclose(mine, expected, rtol=0, atol=2e-3)


def test_a_scaled_crop_is_a_window_of_the_image_at_that_scale(images: Tensor):
    draws = random(40, 3)
    given = Scaled((12, 30), "bilinear")(images, draws, 12)
    for image, (scale, top, left), mine in zip(images, draws.double(), given, strict=True):
        side = 12 + int(scale * 19)
        larger = functional.interpolate(image[None].float(), (side, side), mode="bilinear")[0]
        row, column = (int(place * (side - 11)) for place in (top, left))
        expected = larger[:, row : row + 12, column : column + 12]
        assert torch.allclose(mine, expected, rtol=0, atol=2e-3)


def test_a_place_is_a_window_of_the_image_as_it_is(images: Tensor):
    draws = random(40, 2)
    given = Place()(images, draws, 12)
    for image, (top, left), mine in zip(images, (draws * 9).long(), given, strict=True):
        assert torch.equal(mine, image[:, top : top + 12, left : left + 12])


def test_places_are_equally_likely():
    image = torch.arange(25.0).view(1, 1, 5, 5).expand(5000, 1, 5, 5)
    counts = Place()(image, random(5000, 2), 3)[:, 0, 0, 0].long().bincount(minlength=25)
    counts = counts.view(5, 5)[:3, :3]
    assert counts.sum() == 5000
    assert (counts - 5000 / 9).abs().max() < 5 * (5000 / 9) ** 0.5


def test_windows_have_a_uniform_area_and_an_aspect_within_its_limits():
    _, _, tall, wide = windows_of(Area((0.08, 0.5), (0.75, 4 / 3), "nearest"), 4000).unbind(1)
    area = tall * wide / 1e4
    for quantile in (0.0, 0.25, 0.5, 0.75, 1.0):
        assert area.quantile(quantile) == pytest.approx(0.08 + 0.42 * quantile, abs=0.02)
    aspect = wide / tall
    assert aspect.min() == pytest.approx(0.75, abs=0.03)
    assert aspect.max() == pytest.approx(4 / 3, abs=0.05)
    assert (aspect < 1).float().mean() == pytest.approx(0.5, abs=0.05)  # as wide as tall


def test_windows_lie_anywhere_and_never_outside():
    top, left, tall, wide = windows_of(Area((0.08, 1.0), (0.3, 3.3), "nearest"), 4000).unbind(1)
    for first, length in ((top, tall), (left, wide)):
        room = 100 - length
        assert (first >= 0).all()
        assert (first <= room).all()
        assert (first / room)[room > 20].mean() == pytest.approx(0.5, abs=0.03)


def test_a_window_of_the_whole_area_is_the_image(images: Tensor):
    cut = Area((1.0, 1.0), (0.5, 2.0), "bicubic")(images, random(40, 4), 20)
    assert torch.equal(cut, images.float())


def test_an_interpolation_of_every_images_own_is_one_of_the_three(images: Tensor):
    draws = random(40, 5)
    given = Area((0.1, 0.5), (0.75, 4 / 3), "random")(images, draws, 12)
    three = [Area((0.1, 0.5), (0.75, 4 / 3), mode)(images, draws[:, :4], 12) for mode in MODES]
    chosen = (draws[:, 4] * 3).long()
    assert chosen.bincount().min() > 5
    for place, kind in enumerate(chosen.tolist()):
        assert torch.allclose(given[place], three[kind][place], atol=1e-4)


@pytest.mark.parametrize("settings", CROPS)
@pytest.mark.parametrize("draw", [0.0, LARGEST])
def test_the_extremes_of_the_draws_stay_inside_the_image(settings: dict[str, object], draw: float):
    augment = Augment(**settings)
    ramp = torch.arange(400.0).view(1, 1, 20, 20) / 400
    cut = augment.cut(ramp, torch.full((1, augment.draws), draw), 12)
    assert cut.shape == (1, 1, 12, 12)
    assert cut.min() >= 0
    assert cut.max() < 1


@pytest.mark.parametrize("settings", CROPS)
def test_a_crop_depends_on_its_image_and_draws_alone(images: Tensor, settings: dict[str, object]):
    assert_changes_images_alike(Augment(**settings), images, 12)


def test_a_crop_takes_the_first_draws_and_leaves_the_others_theirs(images: Tensor):
    draws = random(40, 5)
    both = whole(Augment(crop="area", flip_probability=0.5), images, draws, 12)
    cut = whole(Augment(crop="area"), images, draws[:, :4], 12)
    assert torch.equal(both, Augment(flip_probability=0.5)(cut, draws[:, 4:]))


def test_without_a_crop_the_middle_is_seen(images: Tensor):
    assert torch.equal(Augment().cut(images, random(40, 0), 12), images[:, :, 4:16, 4:16])


@pytest.mark.gpu
@pytest.mark.parametrize("settings", CROPS)
def test_a_gpu_cuts_the_same_windows(images: Tensor, settings: dict[str, object]):
    assert_a_gpu_agrees(Augment(**settings), images, 12, tolerance=1e-3)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"scales": (12, 30)}, r"augment.scales=\[12, 30\] are those of augment.crop=place"),
        ({"crop": "place", "scales": (30, 12)}, r"augment.scales=\[30, 12\] must be two numbers"),
        ({"crop": "area", "crop_area": (0.5, 1.5)}, r"augment.crop_area=\[0.5, 1.5\] must be"),
        ({"crop": "area", "crop_aspect": (0, 1)}, r"augment.crop_aspect=\[0, 1\] must be"),
    ],
)
def test_an_impossible_crop_is_refused(settings: dict[str, object], reason: str):
    with pytest.raises(UserError, match=reason):
        Augment(**settings)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"crop": "place"}, "dataset.load_size must be above 12"),
        ({"crop": "place", "scales": (11, 30)}, r"augment.scales=\[11, 30\] must begin at 12"),
    ],
)
def test_a_crop_that_does_not_go_with_the_data_sets_sides_is_refused(
    settings: dict[str, object], reason: str
):
    with pytest.raises(UserError, match=reason):
        Augment(**settings).check(channels=3, kept=12, seen=12)
