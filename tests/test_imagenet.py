"""The experiments on ImageNet and on folders run on made images of the right shapes and layout."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import only_run, summary_of
from PIL import Image

Etude = Callable[..., int]
QUICK = [
    "train.epochs=1", "train.batch_size=4", "dataset.root=made", "init.weights=null",
    "record.curves=false", "record.tensorboard=false", "device=cpu",
]  # fmt: skip


def make_images(root: Path, test: str) -> None:
    """Two classes, each with two images to learn from and one to test on."""
    generator = np.random.default_rng(0)
    for part, count in (("train", 2), (test, 1)):
        for name in ("n01440764", "n01443537"):
            folder = root / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = generator.integers(256, size=(40, 30, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")


@pytest.mark.parametrize(
    ("experiment", "size"),
    [
        ("googlenet_imagenet", 224),
        ("bn_inception_imagenet", 224),
        pytest.param("inception_v3_imagenet", 299, marks=pytest.mark.slow),
        pytest.param("inception_v4_imagenet", 299, marks=pytest.mark.slow),
        pytest.param("inception_resnet_v1_imagenet", 299, marks=pytest.mark.slow),
        pytest.param("inception_resnet_v2_imagenet", 299, marks=pytest.mark.slow),
    ],
)
def test_an_experiment_on_imagenet_runs_on_made_images(
    etude: Etude, workplace: Path, experiment: str, size: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ETUDE_CACHE", str(workplace / "cache"))
    make_images(workplace / "made", "val")
    assert etude(f"experiment={experiment}", "model.width=0.05", *QUICK) == 0
    summary = summary_of(only_run(workplace))
    assert summary["state"] == "finished"
    assert summary["hyperparameters"]["dataset.input_size"] == size
    assert summary["data"]["train"] == 4
    (reference,) = summary["reference"]
    assert reference["source"].startswith("document 003")


@pytest.mark.slow
def test_the_experiment_on_cats_and_dogs_runs_on_made_images(
    etude: Etude, workplace: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ETUDE_CACHE", str(workplace / "cache"))
    make_images(workplace / "made", "validation")
    assert etude("experiment=resnet50_catdog", *QUICK) == 0
    summary = summary_of(only_run(workplace))
    assert summary["parameters"]["trainable"] == 4_098
    assert summary["state"] == "finished"
