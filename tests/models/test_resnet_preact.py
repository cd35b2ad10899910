"""The networks whose activations stand before the convolutions, and Keras's of both kinds."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from etude.models.resnet_keras import ResNetKeras
from etude.models.resnet_preact import ResNetPreact
from etude.train.memory import count_parameters


def preact(depth: int, *, bottleneck: bool) -> ResNetPreact:
    with torch.device("meta"):
        return ResNetPreact(3, 10, depth=depth, bottleneck=bottleneck)


def keras(version: int, depth: int, size: int = 32) -> ResNetKeras:
    with torch.device("meta"):
        return ResNetKeras(3, 10, input_size=size, version=version, depth=depth)


# 1.7, 1.7 and 10.2 million in the paper.
@pytest.mark.parametrize(
    ("depth", "bottleneck", "parameters"),
    [(110, False, 1_730_522), (164, True, 1_703_258), (1001, True, 10_327_706)],
)
def test_preact_has_the_published_number_of_parameters(
    depth: int, bottleneck: bool, parameters: int
):
    assert count_parameters(preact(depth, bottleneck=bottleneck)).trainable == parameters


# Trainable, and Keras's total.
KERAS = {
    (1, 20): (273_066, 274_442),
    (1, 32): (467_946, 470_218),
    (1, 44): (662_826, 665_994),
    (1, 56): (857_706, 861_770),
    (1, 110): (1_734_666, 1_742_762),
    (2, 29): (843_786, 849_002),
    (2, 56): (1_663_338, 1_673_738),
    (2, 110): (3_302_442, 3_323_210),
    (2, 164): (4_941_546, 4_972_682),
    (2, 1001): (30_347_658, 30_539_498),
}


@pytest.mark.parametrize(("which", "parameters"), KERAS.items())
def test_keras_example_has_its_number_of_parameters(
    which: tuple[int, int], parameters: tuple[int, int]
):
    assert count_parameters(keras(*which)) == parameters


def shapes(model: ResNetPreact | ResNetKeras, size: int) -> list[tuple[int, ...]]:
    hidden = model.stem(torch.empty(2, 3, size, size, device="meta"))
    found = [tuple(hidden.shape[1:])]
    for stage in (model.stage1, model.stage2, model.stage3):
        hidden = stage(hidden)
        found.append(tuple(hidden.shape[1:]))
    return found


NARROW = [(16, 32, 32), (16, 32, 32), (32, 16, 16), (64, 8, 8)]
WIDE = [(16, 32, 32), (64, 32, 32), (128, 16, 16), (256, 8, 8)]


@pytest.mark.parametrize(
    ("model", "expected"),
    [(preact(110, bottleneck=False), NARROW), (preact(164, bottleneck=True), WIDE),
     (keras(1, 20), NARROW), (keras(2, 29), WIDE)],
)  # fmt: skip
def test_the_stages_have_the_documented_shapes(model, expected):
    assert shapes(model, 32) == expected
    assert model(torch.empty(2, 3, 32, 32, device="meta")).shape == (2, 10)


@pytest.mark.parametrize("size", [28, 15, 9])
@pytest.mark.parametrize("version", [1, 2])
def test_a_side_is_halved_and_rounded_up_as_keras_does(version: int, size: int):
    depth = 8 if version == 1 else 11
    sides = [shape[-1] for shape in shapes(keras(version, depth, size), size)]
    half = -(-size // 2)
    assert sides == [size, size, half, -(-half // 2)]


@pytest.mark.parametrize(
    ("network", "settings", "rule"),
    [(ResNetPreact, {"depth": 21, "bottleneck": False}, "6n"),
     (ResNetPreact, {"depth": 26, "bottleneck": True}, "9n"),
     (ResNetKeras, {"depth": 29, "version": 1, "input_size": 32}, "6n"),
     (ResNetKeras, {"depth": 32, "version": 2, "input_size": 32}, "9n")],
)  # fmt: skip
def test_a_depth_that_does_not_fit_is_refused(network, settings, rule: str):
    with pytest.raises(ValueError, match=f"depth={settings['depth']} must be {rule}"):
        network(3, 10, **settings)


def activated(hidden: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    return functional.relu(norm(hidden))


def shaken(model: nn.Module) -> nn.Module:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.running_mean, std=0.1)
    return model.eval()


@pytest.mark.parametrize("bottleneck", [False, True])
def test_preact_computes_what_figure_4e_of_the_paper_shows(bottleneck: bool):
    """x + F(x); where channels change, the shortcut too sees what is activated."""
    torch.manual_seed(0)
    model = shaken(ResNetPreact(3, 10, depth=20, bottleneck=bottleneck))
    images = torch.randn(2, 3, 16, 16)
    count = 3 if bottleneck else 2
    hidden = model.stem(images)
    for block in (*model.stage1, *model.stage2, *model.stage3):
        layers = dict(block.residual.branch.named_children()) | dict(block.named_children())
        active = activated(hidden, layers["norm1"])
        changes = isinstance(block.residual.shortcut, nn.Conv2d)
        out = layers["conv1"](active)
        for index in range(2, count + 1):
            out = layers[f"conv{index}"](activated(out, layers[f"norm{index}"]))
        hidden = out + (block.residual.shortcut(active) if changes else hidden)
    expected = model.fc(activated(hidden, model.norm).mean((2, 3)))
    torch.testing.assert_close(model(images), expected)


@pytest.mark.parametrize("size", [16, 15])
def test_keras_version_1_computes_what_the_example_says(size: int):
    torch.manual_seed(0)
    model = shaken(ResNetKeras(3, 10, input_size=size, version=1, depth=14))
    images = torch.randn(2, 3, size, size)
    hidden = activated(model.stem.conv(images), model.stem.norm)
    for name in ("stage1", "stage2", "stage3"):
        for index, block in enumerate(getattr(model, name)):
            branch, shortcut = block.residual.branch, block.residual.shortcut
            halves = name != "stage1" and index == 0
            conv = branch.conv1 if isinstance(branch.conv1, nn.Conv2d) else branch.conv1.conv
            padded = functional.pad(hidden, keras_padding(hidden.shape[-1], 2 if halves else 1))
            out = functional.conv2d(padded, conv.weight, conv.bias, 2 if halves else 1)
            out = branch.norm2(branch.conv2(activated(out, branch.norm1)))
            beside = (
                functional.conv2d(hidden, shortcut.weight, shortcut.bias, 2) if halves else hidden
            )
            hidden = functional.relu(out + beside)
    torch.testing.assert_close(model(images), model.fc(hidden.mean((2, 3))))


def keras_padding(size: int, stride: int) -> tuple[int, int, int, int]:
    """TensorFlow's rule for `same` with a kernel of 3: what is odd goes to the end."""
    total = max((-(-size // stride) - 1) * stride + 3 - size, 0)
    return (total // 2, total - total // 2) * 2


def test_keras_version_2_computes_what_the_example_says():
    torch.manual_seed(0)
    model = shaken(ResNetKeras(3, 10, input_size=16, version=2, depth=20))
    images = torch.randn(2, 3, 16, 16)
    hidden = activated(model.stem.conv(images), model.stem.norm)
    for name in ("stage1", "stage2", "stage3"):
        for index, block in enumerate(getattr(model, name)):
            branch = block.branch
            first = name == "stage1" and index == 0
            assert hasattr(branch, "norm1") != first
            stride = 2 if name != "stage1" and index == 0 else 1
            active = hidden if first else activated(hidden, branch.norm1)
            out = functional.conv2d(active, branch.conv1.weight, branch.conv1.bias, stride)
            out = branch.conv2(activated(out, branch.norm2))
            out = branch.conv3(activated(out, branch.norm3))
            weight = getattr(block.shortcut, "weight", None)
            if index == 0:
                hidden = functional.conv2d(hidden, weight, block.shortcut.bias, stride)
            hidden = out + hidden
    expected = model.fc(activated(hidden, model.pool[0]).mean((2, 3)))
    torch.testing.assert_close(model(images), expected)
