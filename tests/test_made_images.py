"""Experiments on data that nobody has here: they run on made images in the layout they expect."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import only_run, summary_of
from PIL import Image

# Where each expects its images, below data/.
LAYOUT = {
    "alexnet_imagenet": ("imagenet/train", "imagenet/val"),
    "vgg11_lrn_imagenet": ("imagenet/train", "imagenet/val"),
    "resnet18_imagenet": ("imagenet/train", "imagenet/val"),
    "plain18_imagenet": ("imagenet/train", "imagenet/val"),
    "resnet50_imagenet": ("imagenet/train", "imagenet/val"),
    "vgg16_catdog": ("catdog/train", "catdog/validation"),
    "vgg16_transfer": ("catdog/train", "catdog/validation"),
    "catsdogs_cnn": ("cats_and_dogs_filtered/train", "cats_and_dogs_filtered/validation"),
    "catsdogs_cnn_as_seed": ("cats_and_dogs_filtered/train", "cats_and_dogs_filtered/validation"),
}
SHORT = ["train.epochs=1", "train.batch_size=4", "train.eval_batch_size=4"]
SHORT += ["record.curves=false", "record.tensorboard=false"]


def make_images(folder: Path, count: int) -> None:
    random = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            pixels = random.integers(256, size=(30, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{index}.png")


@pytest.mark.slow
@pytest.mark.parametrize("experiment", LAYOUT)
def test_an_experiment_runs_on_made_images_in_its_layout(
    etude: Callable[..., int], workplace: Path, experiment: str
):
    for part, count in zip(LAYOUT[experiment], (4, 2), strict=True):
        make_images(workplace / "data" / part, count)
    assert etude(f"experiment={experiment}", "init.weights=null", *SHORT) == 0
    summary = summary_of(only_run(workplace))
    assert summary["state"] == "finished"
    assert summary["data"]["train"] == 8


@pytest.mark.slow
@pytest.mark.parametrize(
    "experiment",
    [
        "vgg16_flowers17",
        "vgg16_flowers17_as_seed",
        "alexnet_flowers17",
        "alexnet_flowers17_as_seed",
    ],
)
def test_an_experiment_on_flowers17_runs_on_made_images(
    etude: Callable[..., int], workplace: Path, experiment: str
):
    folder = workplace / "data" / "17flowers" / "jpg"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for number in range(1, 1361):
        pixels = random.integers(256, size=(3, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"image_{number:04}.jpg")
    few = ["dataset.limit_train=8", "dataset.limit_test=4"]
    assert etude(f"experiment={experiment}", *few, *SHORT) == 0
    summary = summary_of(only_run(workplace))
    assert summary["state"] == "finished"
    assert summary["data"]["train"] == 8
