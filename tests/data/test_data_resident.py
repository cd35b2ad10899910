from typing import Any

import pytest
import torch
from no_waits import no_waits

from etude.base.seeds import mix
from etude.data.augment.augment import Augment
from etude.data.batch import Batch
from etude.data.normalize import Normalize, fit
from etude.data.resident import Resident
from etude.data.sources.digits import Digits
from etude.data.sources.source import Labelled

SHIFTED_AND_FLIPPED = {"shift_fraction": 0.2, "flip_probability": 0.5}


@pytest.fixture(scope="module")
def digits() -> Labelled:
    return Digits().load().test


@pytest.fixture(scope="module")
def normalize(digits: Labelled) -> Normalize:
    return fit("mean_std", digits.images)


@pytest.fixture
def coloured() -> Labelled:
    images = torch.randint(0, 256, (50, 3, 6, 6), generator=torch.Generator().manual_seed(0))
    return Labelled(images.byte(), torch.arange(50) % 10)


def resident(data: Labelled, **changes: Any) -> Resident:
    settings = {
        "normalize": fit("unit", data.images),
        "augment": None,
        "device": "cpu",
        "channels_last": False,
    }
    return Resident(*data, **(settings | changes))


def same(one: list[Batch], other: list[Batch]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels)
        for a, b in zip(one, other, strict=True)
    )


def joined(batches: list[Batch]) -> Batch:
    return Batch(torch.cat([b.images for b in batches]), torch.cat([b.labels for b in batches]))


def test_an_epoch_gives_every_image_once_with_its_label(digits: Labelled):
    images, labels = joined(list(resident(digits).epoch(0, 0, 64)))
    expected = digits.images.float() / 255
    given = torch.cat([images.flatten(1), labels[:, None]], dim=1).tolist()
    held = torch.cat([expected.flatten(1), digits.labels[:, None]], dim=1).tolist()
    assert torch.allclose(torch.tensor(sorted(given)), torch.tensor(sorted(held)))
    assert labels.tolist() != digits.labels.tolist()


def test_the_last_batch_is_smaller_and_kept(digits: Labelled):
    sizes = [len(batch.labels) for batch in resident(digits).epoch(0, 0, 128)]
    assert sizes == [128, 128, 104]


def test_every_epoch_and_every_seed_has_its_own_order(digits: Labelled):
    data = resident(digits)
    orders = {
        tuple(joined(list(data.epoch(seed, epoch, 64))).labels.tolist())
        for seed in range(3)
        for epoch in range(3)
    }
    assert len(orders) == 9


def test_an_epoch_depends_on_its_seed_and_number_alone(digits: Labelled):
    data = resident(digits, augment=Augment(**SHIFTED_AND_FLIPPED))
    first = list(data.epoch(1, 2, 64))
    torch.manual_seed(5)
    list(data.epoch(1, 3, 64))
    assert same(list(data.epoch(1, 2, 64)), first)


@pytest.mark.parametrize("start", [0, 1, 5, 6])
def test_an_epoch_that_starts_later_gives_the_same_batches_from_there_on(
    digits: Labelled, start: int
):
    data = resident(digits, augment=Augment(**SHIFTED_AND_FLIPPED))
    assert same(list(data.epoch(0, 1, 64, start)), list(data.epoch(0, 1, 64))[start:])


def test_an_image_is_augmented_alike_in_batches_of_any_size(digits: Labelled):
    data = resident(digits, augment=Augment(**SHIFTED_AND_FLIPPED))
    small, large = joined(list(data.epoch(0, 0, 7))), joined(list(data.epoch(0, 0, 100)))
    assert torch.equal(small.images, large.images)


@pytest.mark.parametrize("channels_last", [False, True])
def test_large_batches_are_augmented_in_parts_to_the_same_bits(
    coloured: Labelled, channels_last: bool, monkeypatch: pytest.MonkeyPatch
):
    augment = Augment(**SHIFTED_AND_FLIPPED, crop="area", photometric=0.5)
    data = resident(coloured, augment=augment, channels_last=channels_last, size=4)
    whole = list(data.epoch(0, 0, 25))
    monkeypatch.setattr("etude.data.input.CHUNK_BYTES", 3 * 4 * 3 * 36)  # of three images
    parts = list(data.epoch(0, 0, 25))
    assert same(parts, whole)
    assert parts[0].images.stride() == whole[0].images.stride()


def test_an_images_random_numbers_are_those_of_its_place_in_the_data(coloured: Labelled):
    augment = Augment(**SHIFTED_AND_FLIPPED)
    numbered = Labelled(coloured.images, torch.arange(50))
    images, places = joined(list(resident(numbered, augment=augment).epoch(3, 4, 16)))
    draws = torch.rand(50, 3, generator=torch.Generator().manual_seed(mix(3, "augment", 4)))
    expected = augment(coloured.images.float(), draws) / 255
    assert torch.allclose(images, expected[places], atol=1e-6)


def test_augmentation_changes_from_epoch_to_epoch(digits: Labelled):
    one = Labelled(digits.images[:1], digits.labels[:1])
    data = resident(one, augment=Augment(**SHIFTED_AND_FLIPPED))
    first, second = next(data.epoch(0, 0, 1)), next(data.epoch(0, 1, 1))
    assert not torch.equal(first.images, second.images)


@pytest.mark.parametrize(("after", "filled"), [(True, 9.0), (False, 9.0 / 255)])
def test_a_fill_value_is_in_the_scale_of_the_images_that_are_augmented(
    coloured: Labelled, after: bool, filled: float
):
    augment = Augment(
        erase_probability=1.0,
        erase_area=(1.0, 1.0),
        erase_ratio=(1.0, 1.0),
        erase_value=9.0,
        after_normalize=after,
    )
    images = next(resident(coloured, augment=augment).epoch(0, 0, 50)).images
    assert torch.allclose(images, torch.full_like(images, filled))


def test_evaluation_keeps_the_order_and_augments_nothing(digits: Labelled, normalize: Normalize):
    data = resident(digits, normalize=normalize, augment=Augment(**SHIFTED_AND_FLIPPED))
    batches = list(data.in_order(100))
    assert [len(batch.labels) for batch in batches] == [100, 100, 100, 60]
    assert torch.equal(joined(batches).images, normalize(digits.images))
    assert torch.equal(joined(batches).labels, digits.labels)


@pytest.mark.parametrize("mode", ["unit", "pixel_mean"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_network_sees_the_middle_of_images_that_are_kept_larger(
    coloured: Labelled, mode: str, channels_last: bool
):
    normalize = fit(mode, coloured.images)
    how: Any = {"normalize": normalize, "channels_last": channels_last, "size": 3}
    data = resident(coloured, augment=Augment(), **how)
    middles = normalize(coloured.images)[:, :, 1:4, 1:4]
    seen = joined(list(data.in_order(16)))
    assert torch.equal(seen.images, middles)
    numbered = Labelled(coloured.images, torch.arange(50))
    images, places = joined(list(resident(numbered, augment=Augment(), **how).epoch(0, 0, 16)))
    assert torch.equal(images, middles[places])


@pytest.mark.parametrize("augment", [None, Augment(**SHIFTED_AND_FLIPPED)])
def test_channels_last_is_another_layout_of_the_same_numbers(
    coloured: Labelled, augment: Augment | None
):
    plain = resident(coloured, augment=augment)
    channels_last = resident(coloured, augment=augment, channels_last=True)
    assert same(list(plain.epoch(0, 0, 16)), list(channels_last.epoch(0, 0, 16)))
    assert same(list(plain.in_order(16)), list(channels_last.in_order(16)))
    for batch in (*channels_last.epoch(0, 0, 16), *channels_last.in_order(16)):
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
    for batch in (*plain.epoch(0, 0, 16), *plain.in_order(16)):
        assert batch.images.is_contiguous()


def test_batches_are_float32_and_labels_int64(coloured: Labelled):
    images, labels = next(resident(coloured).epoch(0, 0, 16))
    assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_cpus_batches_without_waiting_inside_an_epoch(digits: Labelled):
    augment = Augment(**SHIFTED_AND_FLIPPED, crop_padding=1)
    expected = list(resident(digits, augment=augment).epoch(0, 0, 64))
    batches = resident(digits, augment=augment, device="cuda").epoch(0, 0, 64)
    given = [next(batches)]  # the order and the draws are copied here
    with no_waits():
        given += list(batches)
    for mine, cpu in zip(given, expected, strict=True):
        assert torch.equal(mine.labels.cpu(), cpu.labels)
        assert torch.allclose(mine.images.cpu(), cpu.images, atol=1e-5)
