"""LeNet-5 of 1998 against its paper's numbers and equations."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from etude.base.errors import UserError
from etude.models.lenet5_1998 import (
    C3_TABLE,
    LeNet5Of1998,
    PartialConvolution,
    ScaledTanh,
    Subsampling,
    glyphs,
)
from etude.train.init import LeCun1998
from etude.train.loss import OwnLoss, loss_of
from etude.train.memory import count_parameters, walk
from etude.train.step import Step


def network(num_classes: int = 10, **settings) -> LeNet5Of1998:
    return LeNet5Of1998(1, num_classes, input_size=32, **settings)


LAYERS = {"c1": 156, "s2": 12, "c3": 1_516, "s4": 32, "c5": 48_120, "f6": 10_164}


def test_its_layers_have_the_papers_numbers_of_parameters():
    model = network()
    found = {name: count_parameters(getattr(model.layers, name)).trainable for name in LAYERS}
    assert found == LAYERS
    assert count_parameters(model) == (60_000, 60_840)  # and 10 fixed drawings of 84 pixels


def test_it_has_the_papers_340908_connections():
    """Each parameter is used at every place of its layer's output; S2 and S4 add four pixels."""
    shapes = {row.name: row.shape for row in walk(network().to("meta"), (1, 32, 32))}
    places = {
        "c1": math.prod(shapes["layers.c1"][1:]),
        "s2": math.prod(shapes["layers.s2"][1:]),
        "c3": math.prod(shapes["layers.c3.runs.0"][1:]),
        "s4": math.prod(shapes["layers.s4"][1:]),
        "c5": 1,
        "f6": 1,
    }
    each = LAYERS | {"s2": 6 * (4 + 1), "s4": 16 * (4 + 1)}
    connections = {name: places[name] * count for name, count in each.items()}
    assert connections == {
        "c1": 122_304, "s2": 5_880, "c3": 151_600, "s4": 2_000, "c5": 48_120, "f6": 10_164,
    }  # fmt: skip
    assert sum(connections.values()) + network().glyphs.numel() == 340_908


def test_the_table_joins_every_map_of_s2_to_ten_of_c3():
    seen = [index for run in C3_TABLE for maps in run for index in maps]
    assert len(seen) == 60
    assert [seen.count(index) for index in range(6)] == [10] * 6
    assert len({maps for run in C3_TABLE for maps in run}) == 16


def test_c3_is_a_convolution_without_the_connections_that_are_not_in_the_table():
    torch.manual_seed(0)
    layer = PartialConvolution()
    dense = torch.zeros(16, 6, 5, 5)
    row = 0
    for conv, run in zip(layer.runs, C3_TABLE, strict=True):
        for kernel, maps in zip(conv.weight, run, strict=True):
            dense[row, list(maps)] = kernel
            row += 1
    bias = torch.cat([conv.bias for conv in layer.runs])
    images = torch.randn(2, 6, 14, 14)
    torch.testing.assert_close(layer(images), functional.conv2d(images, dense, bias))


def test_subsampling_adds_four_pixels_and_has_a_coefficient_and_a_bias_a_map():
    layer = Subsampling(2)
    nn.init.constant_(layer.weight, 0.5)
    with torch.no_grad():
        layer.bias[:, 0, 0] = torch.tensor([1.0, 2.0])
    image = torch.arange(8.0).view(1, 2, 2, 2)
    assert layer(image).flatten().tolist() == [0.5 * (0 + 1 + 2 + 3) + 1, 0.5 * (4 + 5 + 6 + 7) + 2]


def test_the_squashing_function_has_1_at_1():
    values = ScaledTanh()(torch.tensor([0.0, 1.0, -1.0, 100.0]))
    torch.testing.assert_close(values, torch.tensor([0.0, 1.0, -1.0, 1.7159]), rtol=0, atol=1e-4)


def test_the_drawings_are_black_and_white_and_differ_in_ten_pixels_at_least():
    drawn = glyphs()
    assert drawn.shape == (10, 84)
    assert set(drawn.flatten().tolist()) == {-1.0, 1.0}
    differ = (drawn[:, None] != drawn).sum(2)
    assert int(differ[~torch.eye(10, dtype=torch.bool)].min()) == 10


def test_the_output_is_the_squared_distance_to_each_drawing():
    model = network()
    images = torch.randn(3, 1, 32, 32)
    with torch.inference_mode():
        drawn, found = model.layers(images), model(images)
    for image, outputs in zip(drawn, found, strict=True):
        for digit in range(10):
            distance = sum((a - b) ** 2 for a, b in zip(image, glyphs()[digit], strict=True))
            assert float(outputs[digit]) == pytest.approx(-float(distance), rel=1e-5)


@pytest.mark.parametrize("rejection", [0.1, 5.0])
def test_the_loss_is_equation_9(rejection: float):
    model = network(rejection=rejection)
    distances = torch.rand(4, 10, dtype=torch.float64) * 10
    labels = torch.tensor([0, 3, 9, 3])
    expected = [
        float(y[label]) + math.log(math.exp(-rejection) + sum(math.exp(-float(i)) for i in y))
        for y, label in zip(distances, labels, strict=True)
    ]
    found = model.loss(-distances, labels)
    assert found.tolist() == pytest.approx(expected)
    mean = loss_of(model, -distances, labels)
    assert float(mean) == pytest.approx(sum(expected) / 4)
    assert float(loss_of(model, -distances, labels, reduction="sum")) == pytest.approx(
        sum(expected)
    )


def test_other_networks_are_trained_on_cross_entropy_to_the_bit():
    logits, labels = torch.randn(8, 5), torch.randint(5, (8,))
    model = nn.Linear(1, 1)
    assert not isinstance(model, OwnLoss)
    for smoothing in (0.0, 0.1):
        expected = functional.cross_entropy(logits, labels, label_smoothing=smoothing)
        assert torch.equal(loss_of(model, logits, labels, label_smoothing=smoothing), expected)


def test_label_smoothing_is_refused_where_a_network_has_its_own_loss():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    with pytest.raises(UserError, match=r"label_smoothing=0.1 .* loss of its own"):
        Step(model, optimizer, scaler=scaler, device=torch.device("cpu"), precision="float32",
             label_smoothing=0.1)  # fmt: skip


def test_a_step_minimises_the_networks_own_loss():
    torch.manual_seed(0)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    step = Step(model, optimizer, scaler=scaler, device=torch.device("cpu"), precision="float32")
    images, labels = torch.randn(16, 1, 32, 32), torch.randint(10, (16,))
    with torch.no_grad():
        expected = model.loss(model(images), labels).mean()
    results = [step(images, labels) for _ in range(5)]
    torch.testing.assert_close(results[0].loss, expected)
    assert results[-1].loss < results[0].loss


def test_its_initialisation_is_bounded_by_the_connections_that_there_are():
    model = network()
    LeCun1998()(model, seed=0)
    for conv, seen in zip(model.layers.c3.runs, (3, 4, 6), strict=True):
        limit = 2.4 / (25 * seen)
        assert 0.8 * limit < float(conv.weight.detach().abs().max()) <= limit
        assert conv.bias.tolist() == [0.0] * len(conv.bias)
    assert float(model.layers.s2.weight.detach().abs().max()) <= 0.6


@pytest.mark.parametrize(
    ("classes", "size", "said"),
    [(10, 28, "input_size=28 must be 32"), (11, 32, "num_classes=11")],
)
def test_other_images_and_more_classes_are_refused(classes: int, size: int, said: str):
    with pytest.raises(ValueError, match=said):
        LeNet5Of1998(1, classes, input_size=size)


def test_the_drawings_are_not_among_the_weights_of_a_run():
    assert "glyphs" not in network().state_dict()
