import hashlib

import torch
from sklearn.datasets import load_digits

from etude.data.sources.digits import Digits


def test_the_digits_hold_what_their_facts_promise():
    loaded, facts = Digits().load(), Digits().facts()
    assert loaded.train.images.shape == (facts.train_images, facts.channels, facts.size, facts.size)
    assert loaded.test.images.shape == (facts.test_images, facts.channels, facts.size, facts.size)
    assert loaded.classes == tuple("0123456789")
    assert loaded.train.images.dtype == torch.uint8
    assert loaded.train.labels.dtype == torch.int64


def test_the_digits_values_span_all_of_a_byte():
    images = Digits().load().train.images
    assert images.unique().tolist() == [round(value * 255 / 16) for value in range(17)]


def test_the_digits_two_parts_are_all_of_scikit_learns_and_do_not_overlap():
    loaded = Digits().load()
    pixels = torch.cat([loaded.train.images, loaded.test.images]).flatten(1).tolist()
    original = (load_digits().data * 255 / 16).round().astype(int).tolist()
    assert sorted(pixels) == sorted(original)


def test_the_digits_test_part_has_every_class_in_proportion():
    counts = Digits().load().test.labels.bincount()
    assert counts.sum() == 360
    assert counts.min() >= 34
    assert counts.max() <= 37


def test_the_digits_test_part_is_the_same_today_as_when_it_was_introduced():
    test = Digits().load().test
    assert hashlib.md5(test.images.numpy().tobytes(), usedforsecurity=False).hexdigest() == (
        "9aa9a372bf6d622ca8b4d116cca68366"
    )


def test_the_digits_name_stands_for_their_content():
    assert Digits().content() is None
