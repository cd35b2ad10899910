import dataclasses
import json
from collections.abc import Callable

import pytest
from conftest import SMALL

from etude.cli.compose import Composer
from etude.config import identify, results
from etude.config.schema import Train
from etude.config.schema.rules import NotNegative, Plain, since

Folder = Callable[..., str]


@pytest.fixture
def folder(composer: Composer) -> Folder:
    """The name of the folder that a command leads to, found without training."""

    def name(*words: str) -> str:
        (job,) = composer.run(words).jobs
        return job.folder.name

    return name


# If one of these changes, every finished run that users have is orphaned: a new key needs
# `since=<default>` in the schema, a new value in conf/ is a new experiment.
GOLDEN = {
    "": "seed=0-36ca5b90",
    "experiment=lenet5_mnist": "seed=0-f64efadb",
}


@pytest.mark.parametrize(("words", "name"), GOLDEN.items())
def test_the_folders_of_the_documented_runs_do_not_change(folder: Folder, words: str, name: str):
    assert folder(*words.split()) == name


def test_the_name_says_what_differs_from_the_experiments_file_with_the_seed_last(folder: Folder):
    name = folder("seed=3", "optimizer.lr=0.01", "model=alexnet_mnist", "experiment=lenet5_mnist")
    assert name.startswith("model=alexnet_mnist_lr=0.01_seed=3-")


def test_the_name_is_a_function_of_the_configuration_not_of_the_words(folder: Folder):
    assert folder("train.epochs=5", "l2=1e-4") == folder("l2=0.0001", "train.epochs=5")
    assert folder("optimizer=adam_keras", "optimizer.lr=1e-3", "seed=0") == folder()


@pytest.mark.parametrize(
    "word",
    ["device=cpu", "train.eval_batch_size=7", "name=other", "record.curves=false", "fresh=true",
     "train.step=eager", "train.checkpoint_seconds=1", "train.channels_last=false"],
)  # fmt: skip
def test_what_cannot_change_the_result_is_not_in_the_fingerprint(folder: Folder, word: str):
    assert folder(word) == folder()


@pytest.mark.parametrize(
    "word",
    ["seed=1", "scale=0.5", "l2=1e-4", "precision=float32", "train.epochs=3", "optimizer=sgd",
     "dataset.input_size=32", "augment=none", "init=he_normal", "scheduler=constant",
     "train.label_smoothing=0.1", "train.test_every_epoch=true"],
)  # fmt: skip
def test_what_can_change_the_result_is_in_the_fingerprint(folder: Folder, word: str):
    assert folder(word).rpartition("-")[2] != folder().rpartition("-")[2]


def test_paths_are_not_in_the_fingerprint_but_the_data_sets_name_is(folder: Folder):
    words = ["dataset=folder", "dataset.input_size=28"]
    one, moved, other = (
        folder(*words, f"dataset.root={root}") for root in ("a/photos", "b/photos", "a/drawings")
    )
    assert one == moved != other


def test_classes_in_another_order_are_the_same_run(folder: Folder):
    words = ["dataset=folder", "dataset.root=photos", "dataset.input_size=28"]
    one, turned, other = (
        folder(*words, f"dataset.classes=[{own}]") for own in ("cat,dog", "dog,cat", "cat,cow")
    )
    assert one == turned != other


def test_a_long_list_of_changes_still_makes_a_name_that_file_systems_take(folder: Folder):
    words = [f"optimizer.betas=[{0.9!r},0.999]", "train.label_smoothing=0.123456789"]
    many = ["augment=crop_flip_erase", "augment.erase_area=[0.0123456789,0.456789]",
            "augment.erase_ratio=[0.123456789,3.456789]", "dataset.mean=[0.123456789]",
            "scheduler=steps", "scheduler.milestones_epochs=[1,2,3,4,5,6,7,8,9,10]"]  # fmt: skip
    name = folder(*words, *many, "seed=4294967295")
    assert len(name) < 200
    assert "seed=4294967295-" in name


def test_a_key_that_is_added_later_leaves_old_fingerprints_alone_at_its_default():
    @dataclasses.dataclass
    class Old:
        lr: NotNegative

    @dataclasses.dataclass
    class New(Old):
        added: int = dataclasses.field(metadata=since(0))

    assert results(New(0.1, 0)) == results(Old(0.1))
    assert results(New(0.1, 1)) != results(Old(0.1))
    assert identify(New(0.1, 0), {}) == identify(Old(0.1), {})
    assert json.dumps(results(Plain("x"))) == '{"_target_": "x"}'
    assert "deterministic" not in {
        f.name for f in dataclasses.fields(Train) if f.metadata.get("result", True)
    }
    assert SMALL
