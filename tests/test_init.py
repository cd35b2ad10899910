import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from keras_oracle import oracle
from torch import Tensor, nn

from etude.base.errors import UserError
from etude.train.init import GlorotUniform, HeNormal, Normal, PyTorch

Initializer = Callable[..., None]

ALL = {
    "glorot_uniform": GlorotUniform(),
    "he_normal": HeNormal(variance_corrected=True),
    "he_normal_216": HeNormal(variance_corrected=False),
    "RandomNormal": Normal(std=0.05),
    "pytorch": PyTorch(),
}
OF_KERAS = {name: initialize for name, initialize in ALL.items() if name != "pytorch"}


def every_initializer(initializers: dict[str, Initializer]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("initialize", initializers.values(), ids=initializers)


def conv_net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8, 4)
    )


def oracle_layer() -> nn.Conv2d:
    height, width, inputs, outputs = 3, 3, 64, 128
    assert oracle()["initialisers"]["glorot_uniform"]["shape_hwio"] == [3, 3, 64, 128]
    return nn.Conv2d(inputs, outputs, (height, width))


@pytest.mark.parametrize("name", oracle()["initialisers"])
def test_the_standard_deviation_and_the_largest_weight_are_those_of_keras(name: str):
    layer, expected = oracle_layer(), oracle()["initialisers"][name]
    ALL[name](layer, seed=0)
    weight = layer.weight.detach()
    # 73,728 draws: one standard error of a standard deviation is 0.26 %
    assert float(weight.std()) == pytest.approx(expected["std"], rel=0.01)
    # the largest of a normal distribution that is not cut off varies by some 10 %
    tolerance = 0.2 if name == "RandomNormal" else 1e-3
    assert float(weight.abs().max()) == pytest.approx(expected["max_abs"], rel=tolerance)


def test_glorot_is_uniform_within_its_bound():
    layer = nn.Linear(300, 200)
    GlorotUniform()(layer, seed=0)
    bound = math.sqrt(6 / (300 + 200))
    assert float(layer.weight.detach().abs().max()) <= bound
    assert float(layer.weight.detach().abs().mean()) == pytest.approx(bound / 2, rel=0.02)


@pytest.mark.parametrize(("corrected", "factor"), [(True, 1.0), (False, 0.8796)])
def test_he_normal_has_the_standard_deviation_of_its_keras_version(corrected: bool, factor: float):
    layer = nn.Linear(400, 500)
    HeNormal(variance_corrected=corrected)(layer, seed=0)
    std = math.sqrt(2 / 400) * factor
    assert float(layer.weight.detach().std()) == pytest.approx(std, rel=0.01)
    cut = 2 * math.sqrt(2 / 400) * factor / 0.8796
    assert float(layer.weight.detach().abs().max()) == pytest.approx(cut, rel=1e-2)
    assert float(layer.weight.detach().abs().max()) <= cut * (1 + 1e-4)


@pytest.mark.parametrize(("corrected", "per_channel"), [(True, 2.0), (False, 2.0 * 0.8796**2)])
def test_the_sum_of_squares_after_he_normal_is_two_a_channel(corrected: bool, per_channel: float):
    # E Σw² = 2·Σ out_channels: 27,412 or, up to Keras 2.1.6, 21,210 for VGG-19's 13,706 channels
    channels = [3, 64, 64, 128, 128, 256]
    convolutions = [nn.Conv2d(inputs, outputs, 3) for inputs, outputs in pairwise(channels)]
    model = nn.Sequential(*convolutions, nn.Linear(512, 1024))
    HeNormal(variance_corrected=corrected)(model, seed=0)
    squares = sum(float(layer.weight.detach().square().sum()) for layer in model)
    assert squares == pytest.approx(per_channel * (sum(channels[1:]) + 1024), rel=0.01)
    assert 13_706 * per_channel == pytest.approx(27_412 if corrected else 21_210, rel=1e-3)


@every_initializer(ALL)
def test_the_same_seed_gives_the_same_weights(initialize: Initializer):
    first, second = conv_net(), conv_net()
    initialize(first, seed=7)
    torch.rand(3)
    initialize(second, seed=7)
    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)


@every_initializer(ALL)
def test_another_seed_gives_other_weights(initialize: Initializer):
    first, second = conv_net(), conv_net()
    initialize(first, seed=7)
    initialize(second, seed=8)
    for index in (0, 4):
        assert not torch.equal(first[index].weight, second[index].weight)


@every_initializer(ALL)
def test_the_global_random_state_is_left_as_it_was(initialize: Initializer):
    model = conv_net()
    before = torch.get_rng_state()
    initialize(model, seed=7)
    assert torch.equal(torch.get_rng_state(), before)


@every_initializer(OF_KERAS)
def test_layers_of_one_shape_get_different_weights(initialize: Initializer):
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    initialize(model, seed=0)
    assert not torch.equal(model[0].weight, model[1].weight)


@every_initializer(OF_KERAS)
def test_biases_are_zero_and_norms_start_afresh(initialize: Initializer):
    model = conv_net()
    model(torch.randn(4, 3, 3, 3))  # moves the running statistics
    with torch.no_grad():
        model[1].weight.fill_(3.0)
        model[1].bias.fill_(3.0)
    initialize(model, seed=0)
    for parameter in (model[0].bias, model[4].bias, model[1].bias, model[1].running_mean):
        assert not parameter.any()
    assert (model[1].weight == 1).all()
    assert (model[1].running_var == 1).all()
    assert model[1].num_batches_tracked == 0


def test_layers_without_bias_and_norms_without_weights_are_initialised_too():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4, affine=False))
    model(torch.randn(2, 3, 5, 5))
    GlorotUniform()(model, seed=0)
    assert not model[1].running_mean.any()


class Scale(nn.Module):
    """A user's layer without a way to reset it."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.full((3, 3), 5.0))


class Noise(Scale):
    """A user's layer that resets itself at random."""

    def reset_parameters(self) -> None:
        nn.init.normal_(self.factor)


@every_initializer(ALL)
def test_a_users_layer_without_reset_is_left_as_constructed(initialize: Initializer):
    model = nn.Sequential(nn.Linear(3, 3), Scale())
    initialize(model, seed=0)
    assert (model[1].factor == 5).all()


@every_initializer(ALL)
def test_a_users_layer_with_a_reset_is_reset_from_the_seed(initialize: Initializer):
    def weights(seed: int) -> Tensor:
        layer = Noise()
        initialize(layer, seed=seed)
        return layer.factor.detach()

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))
    assert not (weights(1) == 5).any()


def test_pytorchs_own_is_what_the_constructors_draw():
    torch.manual_seed(7)
    constructed = conv_net()
    model = conv_net()
    PyTorch()(model, seed=7)
    torch.testing.assert_close(model.state_dict(), constructed.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("initialize", OF_KERAS.values(), ids=OF_KERAS)
def test_draws_are_made_in_float32_whatever_the_models_precision(initialize: Initializer):
    single, double = conv_net(), conv_net().double()
    initialize(single, seed=3)
    initialize(double, seed=3)
    assert torch.equal(single[0].weight.double(), double[0].weight)


@every_initializer(ALL)
def test_gradients_are_still_wanted_after_initialisation(initialize: Initializer):
    model = conv_net()
    initialize(model, seed=0)
    assert all(p.requires_grad and p.grad_fn is None for p in model.parameters())


@pytest.mark.parametrize("std", [0.0, -1.0, math.nan])
def test_a_standard_deviation_out_of_range_is_named(std: float):
    with pytest.raises(UserError, match=f"std={std} must be > 0"):
        Normal(std=std)
