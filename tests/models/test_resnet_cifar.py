"""The networks of He et al., section 4.2, against the paper's numbers and another composition."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from etude.models.resnet_cifar import ResNetSmall
from etude.train.memory import count_parameters

# Table 6 of the paper in millions; here to the unit, and with running statistics.
PUBLISHED = {
    20: (269_722, 271_098),
    32: (464_154, 466_426),
    44: (658_586, 661_754),
    56: (853_018, 857_082),
    110: (1_727_962, 1_736_058),
    1202: (19_421_274, 19_510_906),
}


def meta(**settings) -> ResNetSmall:
    with torch.device("meta"):
        return ResNetSmall(3, 10, **settings)


@pytest.mark.parametrize(("depth", "parameters"), PUBLISHED.items())
@pytest.mark.parametrize("residual", [True, False])
def test_a_network_and_its_plain_twin_have_the_published_number_of_parameters(
    depth: int, parameters: tuple[int, int], residual: bool
):
    assert count_parameters(meta(depth=depth, residual=residual)) == parameters


@pytest.mark.parametrize(("shortcut", "more"), [("A", 0), ("B", 2_752), ("C", 14_240)])
def test_projections_add_what_they_hold(shortcut: str, more: int):
    """B: 1x1 and batch norm at two stages; C: at all nine blocks of ResNet-20."""
    assert count_parameters(meta(depth=20, shortcut=shortcut)).trainable == 269_722 + more


def test_the_stages_have_the_papers_shapes():
    model = meta(depth=20)
    hidden = model.stem(torch.empty(2, 3, 32, 32, device="meta"))
    shapes = [hidden.shape]
    for stage in (model.stage1, model.stage2, model.stage3):
        hidden = stage(hidden)
        shapes.append(hidden.shape)
    assert shapes == [(2, 16, 32, 32), (2, 16, 32, 32), (2, 32, 16, 16), (2, 64, 8, 8)]
    assert model(torch.empty(2, 3, 32, 32, device="meta")).shape == (2, 10)


def test_layers_with_weights_are_as_many_as_the_depth_says():
    weighted = [m for m in meta(depth=44).modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(weighted) == 44


@pytest.mark.parametrize("depth", [2, 7, 21, -4])
def test_a_depth_that_is_not_6n_plus_2_is_refused(depth: int):
    with pytest.raises(ValueError, match=f"depth={depth} must be 6n"):
        ResNetSmall(3, 10, depth=depth)


def by_hand(model: ResNetSmall, images: Tensor, *, residual: bool) -> Tensor:
    """Section 3.3 in functions; shortcut A as a 1x1 pool and zeros."""
    norms = {name: m for name, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}
    hidden = functional.relu(norms["stem.norm"](model.stem.conv(images)))
    for name, stride in (("stage1", 1), ("stage2", 2), ("stage3", 2)):
        for index, block in enumerate(getattr(model, name)):
            branch = block.residual.branch if residual else block.plain
            step = stride if index == 0 else 1
            out = functional.conv2d(hidden, branch.conv1.weight, stride=step, padding=1)
            out = functional.relu(branch.norm1(out))
            out = branch.norm2(functional.conv2d(out, branch.conv2.weight, padding=1))
            if residual:
                kept = functional.max_pool2d(hidden, 1, step)
                out = out + torch.cat([kept, kept.new_zeros(out.shape)], 1)[:, : out.shape[1]]
            hidden = functional.relu(out)
    return model.fc(hidden.mean((2, 3)))


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("size", [32, 11])
def test_the_network_computes_what_section_3_says(residual: bool, size: int):
    torch.manual_seed(0)
    model = ResNetSmall(3, 10, depth=20, residual=residual).eval()
    images = torch.randn(2, 3, size, size)
    with torch.inference_mode():
        torch.testing.assert_close(model(images), by_hand(model, images, residual=residual))


def test_the_layout_of_channels_last_goes_through_shortcut_a():
    model = ResNetSmall(3, 10, depth=8).to(memory_format=torch.channels_last)
    images = torch.randn(2, 3, 16, 16).to(memory_format=torch.channels_last)
    hidden = model.stage3(model.stage2(model.stage1(model.stem(images))))
    assert hidden.is_contiguous(memory_format=torch.channels_last)
