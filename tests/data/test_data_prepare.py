from typing import Any

import pytest
import torch
from torch import Tensor

from etude.base.errors import UserError
from etude.data.normalize import statistics
from etude.data.prepare import Data, prepare
from etude.data.sources.digits import Digits
from etude.data.sources.source import DatasetInfo, Labelled, Loaded


def prepared(source: Any = None, **changes: Any) -> Data:
    settings: dict[str, Any] = {
        "input_size": None,
        "interpolation": "bilinear",
        "normalize": "mean_std",
        "mean": None,
        "std": None,
        "validation_split": "none",
        "validation_fraction": None,
        "split_seed": 0,
        "limit_train": None,
        "limit_test": None,
    }
    return prepare(source or Digits(), **(settings | changes))


def rows(*parts: Labelled) -> list[list[int]]:
    """All images with their labels, as sorted lists of numbers."""
    return sorted(
        [*image.flatten().tolist(), int(label)]
        for part in parts
        for image, label in zip(part.images, part.labels, strict=True)
    )


class Few:
    """Four images with the labels that a test asks for."""

    def __init__(self, labels: list[int], images: Tensor | None = None) -> None:
        self.labels = torch.tensor(labels)
        self.images = torch.arange(16, dtype=torch.uint8).view(4, 1, 2, 2)
        if images is not None:
            self.images = images

    def facts(self) -> DatasetInfo:
        return DatasetInfo(4, 4, num_classes=2, channels=1, size=2)

    def load(self) -> Loaded:
        good = Labelled(torch.zeros(4, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 1, 0, 1]))
        return Loaded(Labelled(self.images, self.labels), good, ("no", "yes"))


def test_without_settings_the_data_are_the_sources():
    data, loaded = prepared(), Digits().load()
    assert torch.equal(data.train.images, loaded.train.images)
    assert torch.equal(data.test.labels, loaded.test.labels)
    assert data.validation is None
    assert (data.channels, data.size, len(data.classes)) == (1, 8, 10)


def test_validation_is_cut_from_the_training_images_and_the_test_images_stay():
    data = prepared(validation_split="stratified", validation_fraction=0.1)
    assert data.validation is not None
    assert (len(data.train.labels), len(data.validation.labels)) == (1293, 144)
    assert rows(data.train, data.validation) == rows(Digits().load().train)
    assert rows(data.test) == rows(Digits().load().test)


def test_normalisation_is_fitted_to_what_is_left_for_training():
    data = prepared(validation_split="last_fraction", validation_fraction=0.5, input_size=12)
    mean, std = statistics(data.train.images)
    assert statistics(prepared(input_size=12).train.images) != (mean, std)
    assert data.normalize.scale.item() == pytest.approx(1 / (255 * std[0]))
    assert data.normalize.shift.item() == pytest.approx(-mean[0] / std[0])


def test_every_part_is_resized():
    data = prepared(validation_split="none", input_size=12, interpolation="pad")
    assert data.size == 12
    assert data.train.images.shape == (1437, 1, 12, 12)
    assert data.test.images.shape == (360, 1, 12, 12)
    cut = prepared(validation_split="stratified", validation_fraction=0.1, input_size=12)
    assert cut.validation is not None
    assert cut.validation.images.shape == (144, 1, 12, 12)


def test_images_are_kept_at_the_load_size_and_seen_at_the_input_size():
    data = prepared(input_size=12, load_size=16)
    assert data.size == 12
    assert data.train.images.shape == (1437, 1, 16, 16)
    assert data.test.images.shape == (360, 1, 16, 16)
    own = prepared(load_size=16)
    assert (own.size, own.train.images.shape[-1]) == (8, 16)


def test_a_network_cannot_see_more_than_is_kept():
    with pytest.raises(UserError, match="load_size=10 must be at least"):
        prepared(input_size=12, load_size=10)


def test_limits_keep_so_many_images_of_each_part_validation_included():
    data = prepared(
        limit_train=200, limit_test=50, validation_split="seeded_fraction", validation_fraction=0.2
    )
    assert data.validation is not None
    sizes = [len(part.labels) for part in (data.train, data.validation, data.test)]
    assert sizes == [160, 40, 50]


def test_a_limit_draws_images_by_the_split_seed():
    first, again, other = (prepared(limit_train=200, split_seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.train.images, again.train.images)
    assert not torch.equal(first.train.images, other.train.images)
    assert not torch.equal(first.train.images, Digits().load().train.images[:200])


def test_a_limit_beyond_the_data_keeps_all():
    assert len(prepared(limit_train=10_000).train.labels) == 1437


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_limit_of_nothing_is_refused(part: str):
    with pytest.raises(UserError, match=f"dataset.limit_{part}=0 must be at least 1"):
        prepared(**{f"limit_{part}": 0})


@pytest.mark.parametrize("labels", [[0, 1, 2, 0], [0, -1, 0, 1]])
def test_labels_without_a_class_are_refused(labels: list[int]):
    with pytest.raises(UserError, match=r"the training labels run from .* classes are 0 to 1;"):
        prepared(Few(labels))


def test_the_digest_tells_data_sets_apart_by_any_pixel_label_or_shape():
    pixels = torch.arange(16, dtype=torch.uint8).view(4, 1, 2, 2)
    other = pixels.clone()
    other[3, 0, 1, 1] += 1
    digests = {
        prepared(Few([0, 1, 0, 1])).digest,
        prepared(Few([0, 1, 1, 0])).digest,
        prepared(Few([0, 1, 0, 1], other)).digest,
        prepared(Few([0, 1, 0, 1], pixels.view(4, 4, 1, 1)), normalize="none").digest,
    }
    assert len(digests) == 4
    assert all(len(digest) == 16 for digest in digests)


def test_the_digest_is_the_data_sets_whatever_is_made_of_it():
    cut = prepared(
        limit_train=200, input_size=12, validation_split="stratified", validation_fraction=0.1
    )
    assert cut.digest == prepared().digest
