"""What trains, by patterns of names, and what becomes of batch norms that do not."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import SMALL, only_run, summary_of
from safetensors.torch import load_file, save_file
from torch import nn

from etude.base.errors import UserError
from etude.models.resnet50_transfer import ResNet50Transfer
from etude.train.trained import Trained

Etude = Callable[..., int]


def network() -> nn.Sequential:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
    return nn.Sequential(body, nn.Linear(4 * 36, 3))


def trained(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_exactly_what_a_pattern_fits_is_trained_whatever_the_network_says():
    model = network()
    model[0].requires_grad_(requires_grad=False)
    Trained(["0.0.*", "1.bias"], "evaluate").choose(model)
    assert trained(model) == {"0.0.weight", "0.0.bias", "1.bias"}


def test_without_patterns_a_network_trains_what_it_did():
    model = network()
    model[0].requires_grad_(requires_grad=False)
    Trained(None, "evaluate").choose(model)
    assert trained(model) == {"1.weight", "1.bias"}
    assert model.train()[0][1].training


def test_a_pattern_that_fits_nothing_is_named_beside_what_there_is():
    with pytest.raises(UserError, match=r"train\.trainable: head\.\* fits no .* layers are 0, 1"):
        Trained(["1.*", "head.*"], "evaluate").choose(network())


@pytest.mark.parametrize(
    ("how", "learns", "follows"),
    [("evaluate", False, False), ("affine", True, False), ("train", True, True)],
)
def test_a_frozen_batch_norm_does_what_its_word_says(how: str, learns: bool, follows: bool):
    model = network()
    Trained(["1.*"], how).choose(model)
    norms = {"0.1.weight", "0.1.bias"} if learns else set[str]()
    assert trained(model) == {"1.weight", "1.bias"} | norms
    assert model[0][1].training == follows  # nobody has called `train` yet
    norm = model.train()[0][1]
    before = norm.running_mean.clone()
    images = torch.rand(5, 1, 8, 8)
    output = model(images)
    assert torch.equal(norm.running_mean, before) != follows
    assert torch.equal(output, model.eval()(images)) != follows


def test_a_batch_norm_that_trains_is_left_to_train():
    model = network()
    Trained(["0.1.*", "1.*"], "evaluate").choose(model)
    assert model.train()[0][1].training


@pytest.mark.parametrize(
    ("patterns", "follows"), [(None, True), (["0.*"], False), (["0.*", "1.*"], True)]
)
def test_a_batch_norm_without_parameters_goes_by_the_name_of_its_weight(patterns, follows: bool):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2, affine=False), nn.PReLU())
    if patterns and follows:
        model[1] = nn.BatchNorm2d(2)
    Trained(patterns, "evaluate").choose(model)
    assert model.train()[1].training == follows


def test_a_copy_of_a_network_keeps_its_own_batch_norms_evaluated():
    model = network()
    Trained(["1.*"], "evaluate").choose(model)
    copied = copy.deepcopy(model)
    vars(model[0][1]).pop("train")
    assert model.train()[0][1].training
    assert not copied.train()[0][1].training


def test_a_word_that_does_nothing_is_refused():
    with pytest.raises(UserError, match="has no frozen batch norm; leave it at evaluate"):
        Trained(None, "affine").choose(network())
    with torch.device("meta"):
        model = ResNet50Transfer(3, 2)
    with pytest.raises(UserError, match=r"keeps its batch norms evaluated .*train_batch_norm=true"):
        Trained(None, "train").choose(model)


def test_the_documents_resnet_may_train_its_affine_parts_by_the_word():
    with torch.device("meta"):
        model = ResNet50Transfer(3, 100, hidden=256)
    Trained(None, "affine").choose(model)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 603_876
    assert not model.train().features.bn1.training


BODY = ["model=resnet_cifar", "model.depth=8", "model.width=0.25", "train.epochs=1"]


def test_a_run_moves_what_is_named_and_no_running_statistics(
    etude: Etude, workplace: Path, capfd: pytest.CaptureFixture[str]
):
    assert etude(*SMALL, *BODY, "name=body") == 0
    body = only_run(workplace)
    words = [f"init.weights='{body.relative_to(workplace)}'", "seed=1", "name=head"]
    assert etude(*SMALL, *BODY, *words, "train.trainable=['fc.*']") == 0
    assert "without init.weights" not in capfd.readouterr().out
    assert etude(*SMALL, *BODY, "name=drawn", "train.trainable=['fc.*']") == 0
    assert "train.trainable without init.weights: what does not train" in capfd.readouterr().out
    weights = load_file(body / "best.safetensors")
    weights["stem.conv.weight"] = torch.randn(4, 3, 5, 5)
    save_file(weights, workplace / "odd.safetensors")
    words = ["init.weights=odd.safetensors", "name=odd", "train.trainable=['fc.*']"]
    assert etude(*SMALL, *BODY, *words) == 0
    told = "stem.conv: not loaded, and not trained either: as drawn to the end (train.trainable)"
    assert told in " ".join(capfd.readouterr().out.split())
    head = next((workplace / "outputs" / "head").iterdir())
    one, other = (load_file(folder / "best.safetensors") for folder in (body, head))
    counted = "num_batches_tracked"  # of which no file's are loaded
    named = [name for name in one if not name.endswith(counted)]
    moved = {name for name in named if not torch.equal(one[name], other[name])}
    assert moved == {"fc.weight", "fc.bias"}
    assert summary_of(head)["parameters"]["trainable"] == 16 * 10 + 10
    assert summary_of(head)["hyperparameters"]["train.trainable"] == ["fc.*"]
    assert "train.trainable" not in summary_of(body)["hyperparameters"]


def test_a_wrong_pattern_is_refused_before_anything_is_written(
    etude: Etude, workplace: Path, capfd: pytest.CaptureFixture[str]
):
    assert etude(*SMALL, "train.trainable=['head.*']") == 2
    assert "train.trainable: head.* fits no parameter's name" in capfd.readouterr().err
    assert etude(*SMALL, "train.trainable=[]") == 2
    assert "train.trainable=[] must be a list of patterns of names" in capfd.readouterr().err
    assert not (workplace / "outputs").exists()
