import numpy as np
import pytest
import torch
from augmenting import assert_a_gpu_agrees, assert_changes_images_alike, pixels, random
from scipy import ndimage
from scipy.stats import ks_2samp
from torch import Tensor
from torch.nn import functional

from etude.base.errors import UserError
from etude.data.augment import gather
from etude.data.augment.augment import Augment
from etude.data.augment.gather import shift

EVERYTHING = {
    "shift_fraction": 0.2,
    "crop_padding": 3,
    "flip_probability": 0.5,
    "erase_probability": 0.5,
    "erase_area": (0.02, 0.4),
    "erase_ratio": (0.3, 3.33),
}


GOLDEN_NOISE = [137.10149, 84.25209, 142.50967]


@pytest.fixture
def images() -> Tensor:
    return random(64, 3, 12, 9) * 255


# Whole, half and tiny offsets, and beyond the image: where the edge rules differ.
OFFSETS = [0.0, 1.0, -1.0, 0.5, -0.5, 2.25, -3.7, 1e-7, -1e-7, 11.0, -11.0, 11.5, -40.0, 8.0, -8.0]


REACH = 40


@pytest.mark.parametrize("constant", [None, 0.0, 77.0])
def test_a_shift_equals_scipys_affine_transform(constant: float | None):
    pairs = torch.tensor([(down, right) for down in OFFSETS for right in OFFSETS])
    pairs = torch.cat([pairs, random(200, 2, seed=1) * 20 - 10])
    images = random(len(pairs), 1, 12, 9) * 255
    mine = shift(images, pairs[:, 0], pairs[:, 1], reach=REACH, constant=constant)
    mode = {"mode": "nearest"} if constant is None else {"mode": "constant", "cval": constant}
    for image, offset, result in zip(images, pairs, mine, strict=True):
        expected = ndimage.affine_transform(
            image[0].double().numpy(), np.eye(2), offset.double().numpy(), order=1, **mode
        )
        np.testing.assert_allclose(result[0].numpy(), expected, rtol=0, atol=1e-4)


def test_a_shift_moves_every_channel_alike(images: Tensor):
    down, right = random(64) * 3, random(64) * 3
    together = shift(images, down, right, reach=REACH, constant=0.0)
    apart = [
        shift(plane, down, right, reach=REACH, constant=0.0) for plane in images.split(1, dim=1)
    ]
    assert torch.equal(together, torch.cat(apart, dim=1))


def test_shifts_reach_the_fraction_of_each_side_both_ways():
    ramp = torch.arange(100.0).view(1, 1, 1, 100).expand(2, 1, 50, 100)
    least, most = 0.0, 1 - 2**-24
    augment = Augment(shift_fraction=0.1, fill="nearest")
    moved = augment(ramp, torch.tensor([[0.5, least], [0.5, most]]))
    assert moved[:, 0, 25, 50].tolist() == pytest.approx([40, 60], abs=1e-4)
    moved = augment(ramp.mT, torch.tensor([[least, 0.5], [most, 0.5]]))
    assert moved[:, 0, 50, 25].tolist() == pytest.approx([40, 60], abs=1e-4)


def test_a_shift_brings_in_the_fill_value(images: Tensor):
    moved = Augment(shift_fraction=0.5, fill_value=-7.0)(images, torch.zeros(64, 2))
    assert (moved[:, :, :6] == -7).all()
    assert (moved[:, :, :, :5] == -7).all()
    assert (moved[:, :, 6:, 5:] >= 0).all()


def test_a_crop_is_the_padded_image_seen_from_its_offset(images: Tensor):
    draws = random(64, 2)
    cropped = Augment(crop_padding=4, fill_value=9.0)(images, draws)
    padded = functional.pad(images, (4, 4, 4, 4), value=9.0)
    for image, (top, left), result in zip(padded, (draws * 9).long(), cropped, strict=True):
        assert torch.equal(image[:, top : top + 12, left : left + 9], result)


def test_crops_use_every_offset_equally_often():
    image = torch.arange(49.0).view(1, 1, 7, 7)
    n = 5000
    cropped = Augment(crop_padding=2)(image.expand(n, 1, 7, 7), random(n, 2))
    counts = cropped[:, 0, 3, 3].long().bincount(minlength=49).view(7, 7)[1:6, 1:6]
    assert counts.sum() == n
    assert (counts - n / 25).abs().max() < 5 * (n / 25) ** 0.5


def test_a_draw_next_to_one_stays_in_the_crops_range(images: Tensor):
    last = torch.full((1, 2), 1 - 2**-24)
    cropped = Augment(crop_padding=1000)(images[:1], last)
    padded = functional.pad(images[:1], (1000,) * 4)
    assert torch.equal(cropped, padded[:, :, 2000:, 2000:])


def test_a_flip_mirrors_the_images_whose_draw_is_below_the_probability(images: Tensor):
    draws = random(64, 1)
    flipped = Augment(flip_probability=0.3)(images, draws)
    mirrored = draws[:, 0] < 0.3
    assert torch.equal(flipped[mirrored], images[mirrored].flip(3))
    assert torch.equal(flipped[~mirrored], images[~mirrored])
    assert 0 < mirrored.sum() < 64


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_large_images_are_mirrored_as_small_ones(
    monkeypatch: pytest.MonkeyPatch, layout: torch.memory_format, kind: torch.dtype
):
    large, draws = pixels(8, 3, 149, 148).to(kind, memory_format=layout), random(8, 1)
    assert large[:1].numel() > gather.LARGE
    one_by_one = Augment(flip_probability=0.5)(large, draws)
    monkeypatch.setattr(gather, "LARGE", 2**30)
    together = Augment(flip_probability=0.5)(large, draws)
    assert torch.equal(one_by_one, together)
    assert one_by_one.stride() == together.stride() == large.stride()
    assert not torch.equal(one_by_one, large)


def test_crop_and_flip_together_are_crop_then_flip(images: Tensor):
    draws = random(64, 3)
    cropped = Augment(crop_padding=4)(images, draws[:, :2])
    expected = Augment(flip_probability=0.5)(cropped, draws[:, 2:])
    assert torch.equal(Augment(crop_padding=4, flip_probability=0.5)(images, draws), expected)


def erased_by(augment: Augment, n: int, height: int, width: int) -> Tensor:
    """Where images of zeros were overwritten: (n, height, width) bool."""
    return augment(torch.zeros(n, 1, height, width), random(n, 5))[:, 0] == augment.erase_value


def erasing(**changes: object) -> Augment:
    settings = {"erase_probability": 1.0, "erase_area": (0.02, 0.4), "erase_ratio": (0.3, 3.33)}
    return Augment(erase_value=5.0, **(settings | changes))


def test_what_is_erased_is_one_rectangle_within_the_settings():
    erased = erased_by(erasing(), 2000, 64, 48)
    tall, wide = erased.any(2).sum(1), erased.any(1).sum(1)
    assert torch.equal(erased.sum((1, 2)), tall * wide)
    whole = (tall < 64) & (wide < 48) & (tall > 6) & (wide > 6)  # small ones round too coarsely
    area = ((tall + 0.5) * (wide + 0.5) / (64 * 48))[whole]
    ratio = (tall / wide)[whole]
    assert 0.015 < area.min() < 0.05
    assert 0.35 < area.max() < 0.43
    assert 0.25 < ratio.min() < 0.4
    assert 3.0 < ratio.max() < 3.9


def test_the_erased_area_is_uniform():
    erased = erased_by(erasing(erase_ratio=(1.0, 1.0)), 2000, 100, 100)
    area = erased.float().mean((1, 2))
    assert area.mean() == pytest.approx(0.21, abs=0.01)
    assert area.quantile(0.25) == pytest.approx(0.115, abs=0.02)


def test_erasing_reaches_every_place_of_the_image():
    erased = erased_by(erasing(), 2000, 20, 30)
    assert erased.any(0).all()


def test_a_rectangle_that_does_not_fit_is_cut_down_to_the_image():
    erased = erased_by(erasing(erase_area=(0.5, 0.5), erase_ratio=(100.0, 100.0)), 50, 20, 20)
    assert erased.any(2).all()
    assert (erased.any(1).sum(1) == 1).all()


def documents_eraser(count: int, height: int, width: int) -> list[tuple[int, int, int, int]]:
    """Rectangles as document 003 draws them: again and again until one fits."""
    draw = np.random.default_rng(0)
    found: list[tuple[int, int, int, int]] = []
    while len(found) < count:
        area = draw.uniform(0.02, 0.4) * height * width
        ratio = draw.uniform(0.3, 3.33)
        tall, wide = int(np.sqrt(area * ratio)), int(np.sqrt(area / ratio))
        left, top = draw.integers(width), draw.integers(height)
        if left + wide <= width and top + tall <= height:
            found.append((tall, wide, top, left))
    return found


@pytest.mark.parametrize("sides", [(32, 32), (24, 40)])
def test_rectangles_that_are_drawn_again_are_those_of_document_003(sides: tuple[int, int]):
    count = 20000
    augment = erasing(erase_fit="again")
    erased = augment(torch.zeros(count, 1, *sides), random(count, 2))[:, 0] == 5
    ours = [
        erased.any(2).sum(1),
        erased.any(1).sum(1),
        erased.any(2).byte().argmax(1),
        erased.any(1).byte().argmax(1),
        erased.sum((1, 2)),
    ]
    theirs = torch.tensor(documents_eraser(count, *sides)).unbind(1)
    for mine, other in zip(ours, (*theirs, theirs[0] * theirs[1]), strict=True):
        # Kolmogorov and Smirnov's distance: 1.95 √(2/n) is exceeded once in a thousand times.
        assert ks_2samp(mine.numpy(), other.numpy()).statistic < 1.95 * (2 / count) ** 0.5
    if sides == (32, 32):
        share = ours[4] / 1024
        assert share.mean() == pytest.approx(0.136, abs=0.003)
        assert share.median() == pytest.approx(0.114, abs=0.004)
        assert (share > 0.3).float().mean() == pytest.approx(0.076, abs=0.007)


def test_nothing_is_left_of_a_rectangle_that_never_fits_but_its_part_in_the_image():
    augment = erasing(erase_area=(0.5, 0.5), erase_ratio=(100.0, 100.0), erase_fit="again")
    erased = augment(torch.zeros(50, 1, 20, 20), random(50, 2))[:, 0] == 5
    assert erased.any(2).all()
    assert (erased.any(1).sum(1) == 1).all()


@pytest.mark.parametrize("fill", ["value", "noise"])
def test_a_rectangle_is_drawn_again_by_an_images_own_numbers(fill: str):
    augment = erasing(erase_fill=fill, erase_probability=0.5, erase_fit="again")
    assert augment.draws == (3 if fill == "noise" else 2)
    assert_changes_images_alike(augment, pixels(32, 3, 12, 12), 12)


@pytest.mark.gpu
def test_a_gpu_draws_the_same_rectangles_again():
    augment = erasing(erase_probability=0.5, erase_fit="again")
    assert_a_gpu_agrees(augment, pixels(32, 3, 12, 12), 12, tolerance=0)


def test_erasing_happens_with_its_probability():
    erased = erased_by(erasing(erase_probability=0.25), 4000, 10, 10)
    assert erased.any((1, 2)).float().mean() == pytest.approx(0.25, abs=0.03)


def noisy(**changes: object) -> Augment:
    return erasing(erase_fill="noise", erase_area=(1.0, 1.0), erase_ratio=(1.0, 1.0), **changes)


def test_noise_is_uniform_between_its_limits():
    noise = noisy(erase_noise=(-1.0, 3.0))(torch.zeros(50, 3, 40, 40), random(50, 6))
    assert noise.min() >= -1
    assert noise.max() < 3
    counts = torch.histc(noise, bins=20, min=-1, max=3)
    expected = noise.numel() / 20
    assert ((counts - expected) ** 2 / expected).sum() < 50  # χ² of 19 degrees: 43.8 at 0.001


def test_noise_is_independent_between_images_channels_and_neighbours():
    draws = random(30, 6)
    draws[1] = draws[0]
    draws[1, 5] += 2**-24  # the very next number
    noise = noisy(erase_noise=(-1.0, 1.0))(torch.zeros(30, 3, 40, 40), draws)
    flat = noise.flatten(1)
    correlations = torch.corrcoef(flat) - torch.eye(30)
    assert correlations.abs().max() < 5 / flat.shape[1] ** 0.5
    for shifted in (noise.roll(1, 1), noise.roll(1, 2), noise.roll(1, 3)):
        assert (noise * shifted).mean().abs() < 5 / 3 / noise.numel() ** 0.5


def test_noise_is_a_function_of_one_draw():
    draws = random(4, 6)
    again = draws.clone()
    again[:, :5] = 0.5
    first, second = (noisy()(torch.zeros(4, 3, 9, 9), given) for given in (draws, again))
    assert torch.equal(first, second)
    # So that no run changes unnoticed: the bits are the same on every machine.
    assert first[0, 0, 0, :3].tolist() == pytest.approx(GOLDEN_NOISE, abs=1e-4)


def test_noise_fills_the_rectangle_and_nothing_else(images: Tensor):
    draws = random(64, 6)
    plain = erasing()(images + 10, draws[:, :5])
    with_noise = erasing(erase_fill="noise", erase_noise=(300.0, 400.0))(images, draws)
    assert torch.equal(with_noise >= 300, plain == 5)
    assert torch.equal(with_noise[plain != 5], images[plain != 5])


def test_noise_depends_on_an_image_and_its_draws_alone():
    augment = erasing(erase_fill="noise", erase_probability=0.5)
    assert_changes_images_alike(augment, pixels(32, 3, 12, 12), 12)


@pytest.mark.gpu
def test_a_gpu_makes_the_same_noise():
    augment = erasing(erase_fill="noise", erase_probability=0.5)
    assert_a_gpu_agrees(augment, pixels(32, 3, 12, 12), 12, tolerance=1e-4)


def test_everything_off_needs_no_draws_and_changes_nothing(images: Tensor):
    augment = Augment(flip_probability=0.0, crop_padding=0)
    assert augment.draws == 0
    assert augment(images, torch.empty(64, 0)) is images


@pytest.mark.parametrize(
    "settings",
    [
        {"crop_padding": 3, "fill_value": 7.0},
        {"crop_padding": 3, "fill_value": 7.5},
        {"flip_probability": 0.5},
        EVERYTHING,
    ],
)
def test_whole_pixels_are_changed_as_the_same_numbers_in_float32(settings: dict[str, object]):
    augment, images = Augment(**settings), pixels(64, 3, 12, 12)
    draws = random(64, augment.draws)
    for given in (images, images.contiguous(memory_format=torch.channels_last)):
        assert torch.equal(augment(given, draws).float(), augment(images.float(), draws))


def test_every_part_takes_its_own_draws(images: Tensor):
    draws = random(64, 10)
    parts = (("shift_fraction",), ("crop_padding",), ("flip_probability",))
    erase = ("erase_probability", "erase_area", "erase_ratio")
    result, first = images, 0
    for keys in (*parts, erase):
        part = Augment(**{key: EVERYTHING[key] for key in keys})
        result = part(result, draws[:, first : first + part.draws])
        first += part.draws
    assert first == Augment(**EVERYTHING).draws == 10
    assert torch.equal(Augment(**EVERYTHING)(images, draws), result)


def test_an_image_is_changed_alike_alone_and_in_any_batch(images: Tensor):
    augment, draws = Augment(**EVERYTHING), random(64, 10)
    together = augment(images, draws)
    alone = [augment(images[i : i + 1], draws[i : i + 1]) for i in range(64)]
    assert torch.equal(together, torch.cat(alone))


def test_channels_last_images_are_changed_alike(images: Tensor):
    augment, draws = Augment(**EVERYTHING), random(64, 10)
    channels_last = images.contiguous(memory_format=torch.channels_last)
    assert torch.equal(augment(channels_last, draws), augment(images, draws))


def test_the_images_that_come_in_are_left_as_they_are(images: Tensor):
    before = images.clone()
    Augment(**EVERYTHING)(images, random(64, 10))
    assert torch.equal(images, before)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (
            EVERYTHING | {"erase_fill": "noise", "erase_noise": (1.0, 0.0)},
            r"augment.erase_noise=\[1.0, 0.0\] must be two numbers, the lesser first",
        ),
        ({"erase_probability": 0.5}, r"augment.erase_area=\[\]"),
        (EVERYTHING | {"erase_area": (0.4, 0.02)}, r"augment.erase_area=\[0.4, 0.02\]"),
        (EVERYTHING | {"erase_ratio": (0.0, 1.0)}, r"augment.erase_ratio=\[0.0, 1.0\]"),
    ],
)
def test_impossible_limits_are_refused(settings: dict[str, object], reason: str):
    with pytest.raises(UserError, match=reason):
        Augment(**settings)
