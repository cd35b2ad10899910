"""Frozen ResNet-50: document 003's numbers, and what is trained of it."""

import pytest
import torch
from torch import nn
from torchvision.models import resnet50

from etude.models.resnet50_transfer import ResNet50Transfer
from etude.train.step import Step

CIFAR100 = {"upsample": 8, "train_batch_norm": True, "hidden": 256}


def meta(num_classes: int, **settings: object) -> ResNet50Transfer:
    with torch.device("meta"):  # shapes only: no memory, no time
        return ResNet50Transfer(3, num_classes, **settings)


def counts(model: nn.Module) -> tuple[int, int]:
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(size for size, trained in sizes if trained), sum(size for size, _ in sizes)


def test_the_network_for_cats_and_dogs_trains_its_last_layer_alone():
    assert counts(meta(2)) == (4_098, 23_508_032 + 4_098)


def test_the_network_for_cifar_100_has_the_documented_numbers():
    model = meta(100, **CIFAR100)
    assert counts(model) == (603_876, 24_058_788)
    shapes = []
    images = model.upsample(torch.empty(2, 3, 32, 32, device="meta"))
    assert images.shape == (2, 3, 256, 256)
    for name, stage in model.features.named_children():
        images = stage(images)
        if name.startswith("layer"):
            shapes.append(tuple(images.shape[1:]))
    assert shapes == [(256, 64, 64), (512, 32, 32), (1024, 16, 16), (2048, 8, 8)]


@pytest.mark.parametrize("trained", [False, True])
def test_frozen_batch_norms_stay_as_they_are_and_trained_ones_follow(trained: bool):
    torch.manual_seed(0)
    model = ResNet50Transfer(3, 2, train_batch_norm=trained, hidden=4).train()
    before = model.features.bn1.running_mean.clone()
    model(torch.rand(2, 3, 32, 32))
    assert torch.equal(model.features.bn1.running_mean, before) == (not trained)
    assert model.classifier.training
    assert not model.eval().features.training


def test_the_features_are_torchvisions_with_their_weights():
    torch.manual_seed(0)
    theirs = resnet50().eval()
    ours = ResNet50Transfer(3, 2).eval()
    state = theirs.state_dict()
    layers = ours.torchvision_layers
    ours.load_state_dict(
        {
            name: state[f"{layers[layer]}.{last}"]
            for name in ours.state_dict()
            for layer, _, last in [name.rpartition(".")]
            if layer in layers
        },
        strict=False,
    )
    theirs.fc = nn.Identity()
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(ours.features(images).flatten(1), theirs(images))
    assert len(layers) == 2 * 53


def test_other_than_three_channels_are_refused():
    with pytest.raises(ValueError, match="in_channels=1"):
        ResNet50Transfer(1, 2)


@pytest.mark.slow
def test_a_step_moves_the_batch_norms_and_the_new_layers_alone():
    torch.manual_seed(0)
    model = ResNet50Transfer(3, 100, **CIFAR100)
    before = {name: value.clone() for name, value in model.named_parameters()}
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad])
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    step = Step(
        model.train(), optimizer, scaler=scaler, device=torch.device("cpu"), precision="float32"
    )
    assert torch.isfinite(step(torch.rand(2, 3, 32, 32), torch.tensor([3, 97])).loss)
    moved = {n for n, value in model.named_parameters() if not torch.equal(value, before[n])}
    assert moved == {name for name, value in model.named_parameters() if value.requires_grad}
    assert "features.conv1.weight" not in moved
    assert {"features.bn1.weight", "classifier.fc2.weight"} <= moved
