"""What holds for every network of `conf/model`: it builds, and it can learn a batch by heart."""

from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

import etude as package
from etude.cli.compose import composing
from etude.config import build
from etude.train.init import GlorotUniform, HeNormal, LeCun1998
from etude.train.loss import loss_of
from etude.train.memory import count_parameters

CONF = Path(package.__file__).parents[2] / "conf"
NETWORKS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
# Any network takes images of this side, unless it is here.
LARGE = 299
SIDES = {"lenet5_1998": 32}
CLASSES = {"catsdogs_cnn": 2}


def settings(name: str, *words: str) -> dict[str, Any]:
    with composing() as composer:
        config = composer.loader.compose([f"model={name}", *words])[0]
    return OmegaConf.to_container(config.model, resolve=True)


def network(name: str, *words: str, classes: int, size: int, channels: int = 3) -> nn.Module:
    return build(settings(name, *words), in_channels=channels, num_classes=classes, input_size=size)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_builds_and_tells_classes_apart(name: str):
    size, classes = SIDES.get(name, LARGE), CLASSES.get(name, 10)
    with torch.device("meta"):
        model = network(name, classes=classes, size=size).eval()
        assert model(torch.empty(2, 3, size, size)).shape == (2, classes)
    assert count_parameters(model).total > 40_000


# Small enough for a CPU: the words that make a network so, and the side of its images.
SMALL: dict[str, tuple[list[str], int]] = {
    "resnet_cifar": ([], 16),
    "resnet_cifar plain": (["model.residual=false"], 16),
    "resnet_imagenet 18 A": (["model.depth=18", "model.shortcut=A", "model.width=0.25"], 64),
    "resnet_imagenet 34 C": (["model.depth=34", "model.shortcut=C", "model.width=0.25"], 64),
    "resnet_imagenet 18 plain": (
        ["model.depth=18", "model.residual=false", "model.width=0.25"],
        64,
    ),
    "resnet_imagenet 50": (["model.width=0.25"], 64),
    "resnet_imagenet 50 3x3": (["model.stride_in_3x3=true", "model.width=0.25"], 64),
    "resnet_imagenet 18 small": (
        ["model.depth=18", "model.small_stem=true", "model.width=0.25"],
        16,
    ),
    "resnet_preact": (["model.depth=20"], 16),
    "resnet_preact bottleneck": (["model.depth=29", "model.bottleneck=true"], 16),
    "resnet_keras 1": ([], 16),
    "resnet_keras 2": (["model.version=2", "model.depth=29"], 16),
    "alexnet_imagenet": (["model.dropout=0"], 67),
    "alexnet_imagenet ungrouped": (
        ["model.dropout=0", "model.groups=false", "model.norm=after_pool"],
        67,
    ),
    "alexnet_batch_norm": (["model.dropout=0"], 215),
    "lenet5_1998": ([], 32),
    "cnn4": ([], 16),
    "cnn4 tanh": (["model.activation=tanh"], 16),
    "catsdogs_cnn": ([], 46),
    "lenet5": ([], 16),
    "alexnet_mnist": (["model.dropout=0"], 28),
    "vgg_mnist": (["model.width=0.25", "model.hidden=64"], 32),
    "vgg_imagenet": (["model.width=0.25", "model.hidden=64", "model.dropout=0"], 32),
    "vgg_imagenet A-LRN": (["model.variant=A-LRN", "model.width=0.25", "model.dropout=0"], 32),
    "vgg_cifar": (["model.width=0.25", "model.hidden=64", "model.dropout=0"], 32),
    "vgg16_transfer": ([], 32),
    "resnet50_transfer": ([], 32),
}


def test_every_network_is_made_to_learn_a_batch_here_or_in_the_tests_of_its_family():
    family = {name for name in NETWORKS if "inception" in name or name == "googlenet"}
    assert {case.split()[0] for case in SMALL} | family == set(NETWORKS)


@pytest.mark.slow
@pytest.mark.parametrize("case", SMALL)
def test_a_network_learns_32_images_by_heart(case: str):
    name, (words, size) = case.split(maxsplit=1)[0], SMALL[case]
    classes = CLASSES.get(name, 10)
    torch.manual_seed(0)
    images, labels = torch.randn(32, 3, size, size), torch.arange(32) % classes
    model = network(name, *words, classes=classes, size=size)
    deep = name.startswith("vgg") or name == "resnet_imagenet"
    init = HeNormal(variance_corrected=True) if deep else GlorotUniform()
    (LeCun1998() if name == "lenet5_1998" else init)(model, seed=0)
    rate = 1e-4 if name.startswith("alexnet") else 2e-3
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    for _ in range(200):
        outputs = model(images)
        if float((outputs.argmax(1) == labels).float().mean()) >= 0.95:
            return
        optimizer.zero_grad()
        loss_of(model, outputs, labels).backward()
        optimizer.step()
    pytest.fail(f"{case} did not learn 32 images in 200 steps")
