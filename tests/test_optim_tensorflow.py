"""TensorFlow's RMSprop against its formula, written down in NumPy."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from etude.train.memory import state_copies
from etude.train.optim.tensorflow import TensorFlowRMSprop

RATES = [0.045, 0.045, 0.02, 0.02, 0.045]
INCEPTION = {"lr": 0.045, "alpha": 0.9, "eps": 1.0, "momentum": 0.9}


def gradient(weights: Any) -> Any:
    """Of Σ (w⁴/4 - w), in NumPy or PyTorch."""
    return weights**3 - 1


def transcribed(
    weights: np.ndarray, *, alpha: float, eps: float, momentum: float, decay: float
) -> list[np.ndarray]:
    """The weights after every step by the formula of TensorFlow's ApplyRMSProp."""
    square, velocity = np.ones_like(weights), np.zeros_like(weights)
    seen = []
    for rate in RATES:
        slope = gradient(weights) + decay * weights
        square = square + (1 - alpha) * (slope**2 - square)
        velocity = momentum * velocity + rate * slope / np.sqrt(square + eps)
        weights = weights - velocity
        seen.append(weights)
    return seen


def trained(optimizer: torch.optim.Optimizer, weights: nn.Parameter) -> list[np.ndarray]:
    seen = []
    for rate in RATES:
        optimizer.param_groups[0]["lr"] = rate
        weights.grad = gradient(weights.detach())
        optimizer.step()
        seen.append(weights.detach().numpy().copy())
    return seen


def start() -> nn.Parameter:
    torch.manual_seed(0)
    return nn.Parameter(torch.randn(4, 3, dtype=torch.float64))


@pytest.mark.parametrize("decay", [0.0, 4e-5])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("eps", [1.0, 1e-3])
def test_every_step_is_that_of_the_formula(eps: float, momentum: float, decay: float):
    weights = start()
    settings = {"alpha": 0.9, "eps": eps, "momentum": momentum}
    expected = transcribed(weights.detach().numpy().copy(), **settings, decay=decay)
    optimizer = TensorFlowRMSprop([weights], **settings, weight_decay=decay)
    for ours, theirs in zip(trained(optimizer, weights), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_pytorchs_is_another_one():
    weights = start()
    expected = transcribed(
        weights.detach().numpy().copy(), alpha=0.9, eps=1.0, momentum=0.9, decay=0.0
    )
    plain = trained(torch.optim.RMSprop([weights], **INCEPTION), weights)
    assert float(np.abs(plain[0] - expected[0]).max()) > 1e-3


@pytest.mark.parametrize("step", [1, 3])
def test_it_goes_on_bit_for_bit_from_its_state(step: int):
    weights = start()
    whole = trained(TensorFlowRMSprop([weights], **INCEPTION), weights)
    resumed = start()
    optimizer = TensorFlowRMSprop([resumed], **INCEPTION)
    for index, rate in enumerate(RATES):
        if index == step:
            state = optimizer.state_dict()
            optimizer = TensorFlowRMSprop([resumed], **INCEPTION)
            optimizer.load_state_dict(state)
        optimizer.param_groups[0]["lr"] = rate
        resumed.grad = gradient(resumed.detach())
        optimizer.step()
    assert np.array_equal(resumed.detach().numpy(), whole[-1])


def test_a_rate_in_a_tensor_is_followed():
    weights, same = start(), start()
    expected = trained(TensorFlowRMSprop([weights], **INCEPTION), weights)
    rate = torch.tensor(0.0, dtype=torch.float64)
    optimizer = TensorFlowRMSprop([same], **{**INCEPTION, "lr": rate})
    for value in RATES:
        rate.fill_(value)
        same.grad = gradient(same.detach())
        optimizer.step()
    np.testing.assert_allclose(same.detach().numpy(), expected[-1], rtol=1e-12)


def test_parameters_without_a_gradient_stay():
    weights, unused = start(), nn.Parameter(torch.ones(2))
    optimizer = TensorFlowRMSprop([weights, unused], **INCEPTION)
    weights.grad = gradient(weights.detach())
    optimizer.step()
    assert torch.equal(unused.detach(), torch.ones(2))


@pytest.mark.parametrize(
    "wrong", [{"lr": -1.0}, {"alpha": 1.0}, {"eps": 0.0}, {"momentum": 1.0}, {"weight_decay": -1.0}]
)
def test_a_number_out_of_range_is_refused(wrong: dict[str, float]):
    with pytest.raises(ValueError, match="out of range"):
        TensorFlowRMSprop([start()], **wrong)


def test_the_memory_model_knows_what_it_keeps():
    target = {"_target_": "etude.train.optim.tensorflow.TensorFlowRMSprop"}
    assert state_copies({**target, "momentum": 0.0}) == 3
    assert state_copies({**target, "momentum": 0.9}) == 4
