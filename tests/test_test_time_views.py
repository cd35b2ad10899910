import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import SMALL, only_run, summary_of
from torch import Tensor, nn
from torchvision.transforms.v2.functional import ten_crop

from etude.base.errors import UserError
from etude.models.lenet import LeNet5
from etude.models.lenet5_1998 import LeNet5Of1998
from etude.train.test_time_views import MeanOfViews, check_test_views

Etude = Callable[..., int]
QUICK = [*SMALL, "record.tensorboard=false", "dataset.input_size=28", "dataset.load_size=32"]


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return LeNet5(1, 10, input_size=28).eval()


@pytest.fixture
def images() -> Tensor:
    return torch.rand(6, 1, 32, 32, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def test_ten_crops_are_torchvisions_and_their_probabilities_are_averaged(
    network: nn.Module, images: Tensor
):
    views = list(ten_crop(images, [28]))
    mean = torch.stack([network(view).softmax(1) for view in views]).mean(0)
    answers = MeanOfViews(network, count=10, size=28)(images)
    assert torch.allclose(answers.exp(), mean, atol=1e-6)
    assert torch.allclose(answers.softmax(1), mean, atol=1e-6)  # so any loss of logits sees them


@torch.inference_mode()
def test_two_crops_are_the_middle_and_its_mirror_image(network: nn.Module, images: Tensor):
    middle = images[:, :, 2:30, 2:30]
    mean = (network(middle).softmax(1) + network(middle.flip(3)).softmax(1)) / 2
    assert torch.allclose(MeanOfViews(network, count=2, size=28)(images).exp(), mean, atol=1e-6)


@torch.inference_mode()
def test_one_crop_is_the_middle(network: nn.Module, images: Tensor):
    middle = network(images[:, :, 2:30, 2:30]).softmax(1)
    assert torch.allclose(MeanOfViews(network, count=1, size=28)(images).exp(), middle, atol=1e-6)


def test_corners_that_are_the_whole_image_are_refused(network: nn.Module):
    with pytest.raises(UserError, match="test_crops=10 has no corners to look at"):
        check_test_views(network, 10, kept=28, seen=28)
    check_test_views(network, 2, kept=28, seen=28)


def test_a_network_without_probabilities_is_refused():
    with pytest.raises(UserError, match="LeNet5Of1998 has a loss of its own"):
        check_test_views(LeNet5Of1998(1, 10, input_size=32), 2, kept=32, seen=32)


def outcome(workplace: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    folder = only_run(workplace)
    rows = (folder / "metrics.jsonl").read_text().splitlines()
    return summary_of(folder), [json.loads(row) for row in rows]


@pytest.mark.parametrize("channels_last", ["true", "false"])
def test_a_run_is_tested_on_ten_crops_and_its_epochs_on_one(
    etude: Etude, workplace: Path, channels_last: str
):
    words = ["train.test_crops=10", "train.test_every_epoch=true", "augment=none",
             "augment.crop=place", f"train.channels_last={channels_last}"]  # fmt: skip
    assert etude(*QUICK, *words) == 0
    summary, rows = outcome(workplace)
    assert summary["test_crops"] == 10
    assert summary["hyperparameters"]["train.test_crops"] == 10
    assert summary["final"]["test_loss"] != rows[-1]["test_loss"]
    assert summary["final"]["test_loss"] == pytest.approx(rows[-1]["test_loss"], rel=0.5)
    counts = json.loads((only_run(workplace) / "confusion.json").read_text())["counts"]
    right = sum(counts[place][place] for place in range(10))
    assert right == round(summary["best"]["test_accuracy"] * 50)


def test_a_run_with_one_crop_says_so(etude: Etude, workplace: Path):
    assert etude(*QUICK, "train.test_every_epoch=true") == 0
    summary, rows = outcome(workplace)
    assert summary["test_crops"] == 1
    assert summary["final"]["test_loss"] == rows[-1]["test_loss"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["train.test_crops=10"], "train.test_crops=10 has no corners"),
        (["train.test_crops=3"], "train.test_crops=3 must be one of 1, 2, 10"),
        (["dataset.load_size=20"], "dataset.load_size=20 must be at least dataset.input_size=28"),
        (["augment.crop=place"], "augment.crop=place has no room"),
        (["augment.colour_std=0.1", "augment.after_normalize=false"], "needs images of 3 channels"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line_before_the_run(
    etude: Etude, workplace: Path, capsys: pytest.CaptureFixture[str], words: list[str], reason: str
):
    assert etude(*SMALL, *words) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert len(error.strip().splitlines()) == 1
    assert not list(workplace.iterdir())
