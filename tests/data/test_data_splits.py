import numpy as np
import pytest

from etude.base.errors import UserError
from etude.data.splits import held_out, permutation, split

# Classes of very different sizes, in no order.
LABELS = np.array([0] * 70 + [1] * 20 + [2] * 7 + [3] * 6)[permutation(103, seed=5)]
FRACTIONS = ("last_fraction", "seeded_fraction", "stratified")


def test_without_a_policy_every_image_trains():
    train, validation = split(LABELS, policy="none", fraction=None, seed=0)
    assert train.tolist() == list(range(103))
    assert validation is None


def test_last_fraction_holds_out_the_last_images_as_keras_does():
    train, validation = split(LABELS, policy="last_fraction", fraction=0.25, seed=0)
    assert train.tolist() == list(range(77))  # int(103 * 0.75)
    assert validation is not None
    assert validation.tolist() == list(range(77, 103))


def test_seeded_fraction_of_the_flowers_is_1088_and_272():
    train, validation = split(np.zeros(1360, int), policy="seeded_fraction", fraction=0.2, seed=0)
    assert validation is not None
    assert (len(train), len(validation)) == (1088, 272)


@pytest.mark.parametrize("policy", FRACTIONS)
@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.333, 0.9])
def test_a_split_parts_all_images_and_holds_out_the_promised_number(policy: str, fraction: float):
    train, validation = split(LABELS, policy=policy, fraction=fraction, seed=3)
    assert validation is not None
    assert sorted([*train, *validation]) == list(range(103))
    assert len(validation) == held_out(103, policy, fraction)
    assert train.dtype == validation.dtype == np.int64


@pytest.mark.parametrize("policy", ["seeded_fraction", "stratified"])
def test_a_seeded_split_depends_on_its_seed_alone(policy: str):
    first, again, other = (
        split(LABELS, policy=policy, fraction=0.2, seed=seed)[1] for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_stratified_holds_out_every_class_in_proportion():
    _, validation = split(LABELS, policy="stratified", fraction=0.2, seed=0)
    # 21 of 103: shares 14.27, 4.08, 1.43 and 1.22; the one left over goes to the largest rest.
    assert np.bincount(LABELS[validation]).tolist() == [14, 4, 2, 1]


def test_a_permutation_is_the_same_today_as_when_it_was_introduced():
    assert permutation(10, seed=0).tolist() == [1, 0, 3, 2, 5, 9, 6, 4, 8, 7]


@pytest.mark.parametrize("fraction", [None, 0.0, 1.0, -0.1, 0.9999])
def test_a_fraction_that_leaves_a_part_empty_is_refused(fraction: float | None):
    with pytest.raises(UserError, match=f"dataset.validation_fraction={fraction} of 100 images"):
        held_out(100, "stratified", fraction)


def test_an_unknown_policy_is_refused():
    with pytest.raises(UserError, match=r"dataset.validation_split=random .* stratified"):
        held_out(100, "random", 0.1)
