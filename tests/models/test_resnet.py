"""ResNet against the paper's numbers and torchvision's outputs."""

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from etude.models.resnet import BLOCKS, BOTTLENECKS, ResNet
from etude.train.memory import count_parameters, walk


def meta(num_classes: int = 1000, **settings) -> ResNet:
    with torch.device("meta"):
        return ResNet(3, num_classes, **settings)


# Trainable parameters, and all with running statistics, for 1,000 classes: torchvision's.
PUBLISHED = {
    18: (11_689_512, 11_699_112),
    34: (21_797_672, 21_814_696),
    50: (25_557_032, 25_610_152),
    101: (44_549_160, 44_654_504),
    152: (60_192_808, 60_344_232),
}
BACKBONE = {18: 11_176_512, 34: 21_284_672, 50: 23_508_032, 101: 42_500_160, 152: 58_143_808}


@pytest.mark.parametrize(("depth", "parameters"), PUBLISHED.items())
def test_resnet_has_the_published_number_of_parameters(depth: int, parameters: tuple[int, int]):
    model = meta(depth=depth)
    assert count_parameters(model) == parameters
    assert parameters[0] - count_parameters(model.fc).trainable == BACKBONE[depth]


@pytest.mark.parametrize(
    ("depth", "shortcut", "parameters"),
    [(18, "A", 11_515_688), (34, "A", 21_623_848), (18, "C", 12_043_816), (34, "C", 22_716_840)],
)
def test_shortcuts_a_and_c_have_their_number_of_parameters(
    depth: int, shortcut: str, parameters: int
):
    assert count_parameters(meta(depth=depth, shortcut=shortcut)).trainable == parameters


@pytest.mark.parametrize(
    ("depth", "parameters"), [(18, (11_515_688, 11_523_496)), (34, (21_623_848, 21_639_080))]
)
def test_a_plain_network_has_what_shortcut_a_has(depth: int, parameters: tuple[int, int]):
    assert count_parameters(meta(depth=depth, residual=False)) == parameters
    assert count_parameters(meta(depth=depth, shortcut="A")) == parameters


@pytest.mark.parametrize(
    ("depth", "plain", "residual"), [(18, 11_000_138, 11_173_962), (34, 21_108_298, 21_282_122)]
)
def test_with_the_stem_of_small_images_it_has_other_numbers(depth: int, plain: int, residual: int):
    small = {"depth": depth, "small_stem": True}
    assert count_parameters(meta(10, **small)).trainable == residual
    assert count_parameters(meta(10, residual=False, **small)).trainable == plain


def shapes(model: ResNet, size: int) -> list[tuple[int, ...]]:
    hidden = model.stem(torch.empty(2, 3, size, size, device="meta"))
    found = [tuple(hidden.shape[1:])]
    for stage in (model.stage1, model.stage2, model.stage3, model.stage4):
        hidden = stage(hidden)
        found.append(tuple(hidden.shape[1:]))
    assert model(torch.empty(2, 3, size, size, device="meta")).shape[0] == 2
    return found


@pytest.mark.parametrize("depth", BLOCKS)
def test_the_stages_have_the_shapes_of_table_1(depth: int):
    more = 4 if depth in BOTTLENECKS else 1
    assert shapes(meta(depth=depth), 224) == [
        (64, 56, 56), (64 * more, 56, 56), (128 * more, 28, 28), (256 * more, 14, 14),
        (512 * more, 7, 7),
    ]  # fmt: skip
    assert shapes(meta(10, depth=depth, small_stem=True), 32) == [
        (64, 32, 32), (64 * more, 32, 32), (128 * more, 16, 16), (256 * more, 8, 8),
        (512 * more, 4, 4),
    ]  # fmt: skip


# Of an image of 224 pixels, in millions; the stride in the 3x3, as where they were counted.
MACS = {18: 1_814, 34: 3_664, 50: 4_089, 101: 7_801, 152: 11_514}


@pytest.mark.parametrize(("depth", "millions"), MACS.items())
def test_an_image_costs_the_published_number_of_multiplications(depth: int, millions: int):
    layers = walk(meta(depth=depth, stride_in_3x3=True), (3, 224, 224))
    assert round(sum(layer.macs for layer in layers) / 1e6) == millions


@pytest.mark.parametrize("depth", BLOCKS)
def test_layers_with_weights_are_as_many_as_the_depth_says(depth: int):
    weighted = [
        name for name, module in meta(depth=depth).named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and "shortcut" not in name
    ]  # fmt: skip
    assert len(weighted) == depth


def with_the_weights_of(theirs: nn.Module, ours: ResNet) -> ResNet:
    state = theirs.state_dict()
    ours.load_state_dict({
        key: state[f"{ours.torchvision_layers[layer]}.{name}"]
        for key in ours.state_dict()
        for layer, _, name in [key.rpartition(".")]
    })  # fmt: skip
    return ours


def shaken(model: nn.Module) -> nn.Module:
    """Give batch norm other statistics than those that leave values as they are."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model


def outputs(depth: int, images: Tensor, **settings) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    theirs = shaken(getattr(models, f"resnet{depth}")()).eval()
    ours = with_the_weights_of(theirs, ResNet(3, 1000, depth=depth, **settings)).eval()
    with torch.inference_mode():
        return ours(images), theirs(images)


@pytest.mark.parametrize(
    "depth", [18, 50, *(pytest.param(d, marks=pytest.mark.slow) for d in (34, 101, 152))]
)
def test_the_network_gives_what_torchvisions_gives_with_the_same_weights(depth: int):
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    ours, theirs = outputs(depth, images, stride_in_3x3=True)
    assert torch.equal(ours, theirs)


def test_with_the_papers_stride_it_is_another_network_than_torchvisions():
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    ours, theirs = outputs(50, images, stride_in_3x3=False)
    assert not torch.allclose(ours, theirs, rtol=0.1)


@pytest.mark.parametrize("depth", BLOCKS)
def test_every_layer_has_its_counterpart_in_torchvision(depth: int):
    ours = meta(depth=depth)
    with torch.device("meta"):
        theirs = getattr(models, ours.torchvision_name)()
    assert len(set(ours.torchvision_layers.values())) == len(ours.torchvision_layers)
    for layer, name in ours.torchvision_layers.items():
        assert ours.get_submodule(layer).weight.shape == theirs.get_submodule(name).weight.shape


@pytest.mark.parametrize("residual", [True, False])
def test_a_gradient_goes_past_a_dead_branch_only_where_there_is_a_shortcut(residual: bool):
    torch.manual_seed(0)
    model = ResNet(1, 5, depth=18, residual=residual, width=0.1, small_stem=True)
    block = model.stage4.block2
    norm = (block.residual.branch if residual else block.plain).norm2
    nn.init.zeros_(norm.weight)
    model(torch.randn(4, 1, 16, 16)).sum().backward()
    assert bool(model.stem.conv.weight.grad.abs().sum() > 0) == residual


def test_a_depth_that_table_1_does_not_have_is_refused():
    with pytest.raises(ValueError, match="depth=20 must be one of 18, 34, 50, 101, 152"):
        ResNet(3, 10, depth=20)
