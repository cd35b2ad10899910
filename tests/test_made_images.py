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
    "resnet18_imagenet": ("imagenet/train", "imagenet/val"),
    "plain18_imagenet": ("imagenet/train", "imagenet/val"),
    "resnet50_imagenet": ("imagenet/train", "imagenet/val"),
    "alexnet_flowers17": ("17flowers/train", "17flowers/validation"),
    "alexnet_flowers17_as_seed": ("17flowers/train", "17flowers/validation"),
    "catsdogs_cnn": ("cats_and_dogs_filtered/train", "cats_and_dogs_filtered/validation"),
    "catsdogs_cnn_as_seed": ("cats_and_dogs_filtered/train", "cats_and_dogs_filtered/validation"),
}


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
    short = ["train.epochs=1", "train.batch_size=4", "train.eval_batch_size=4"]
    quiet = ["record.curves=false", "record.tensorboard=false"]
    assert etude(f"experiment={experiment}", *short, *quiet) == 0
    summary = summary_of(only_run(workplace))
    assert summary["state"] == "finished"
    assert summary["data"]["train"] == 8
