import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from keras_oracle import BATCHES, CASES, expected_weights, oracle, train
from torch import Tensor, nn

from etude.base.errors import UserError
from etude.models.resnet_keras import ResNetKeras
from etude.train.optim.decay import decayed, parameter_groups, penalty
from etude.train.optim.keras import KerasAdam, KerasSGD

DROP = "sgd_momentum_rate_drop_at_step_5"
TOLERANCE = 1e-7  # the largest difference seen is 7.5e-8


def small_net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2, bias=True)
    )


def loss_difference(name: str, losses: list[float]) -> float:
    return max(
        abs(mine - kerass)
        for mine, kerass in zip(losses, oracle()["cases"][name]["loss_each_step"], strict=True)
    )


def test_every_case_of_the_oracle_is_held():
    assert set(CASES) == set(oracle()["cases"])


@pytest.mark.parametrize("name", CASES)
def test_the_losses_are_those_of_keras_at_every_step(name: str):
    assert loss_difference(name, train(name).losses) < TOLERANCE


@pytest.mark.parametrize("name", CASES)
def test_the_final_weights_are_those_of_keras(name: str):
    weights = train(name).weights
    for key, expected in expected_weights(name).items():
        torch.testing.assert_close(weights[key], expected, atol=TOLERANCE, rtol=0, msg=key)


@pytest.mark.parametrize("name", [name for name in CASES if name != DROP])
def test_the_evaluation_loss_is_that_of_keras(name: str):
    expected = oracle()["cases"][name]["evaluate_loss_all_24_after"]
    assert train(name).evaluate_loss == pytest.approx(expected, abs=TOLERANCE)


def test_plain_torch_sgd_is_not_keras_when_the_rate_drops():
    plain = train(DROP, lambda groups: torch.optim.SGD(groups, lr=0.05, momentum=0.9))
    assert loss_difference(DROP, plain.losses) > 0.03


def test_plain_torch_adam_is_further_from_keras_than_the_tolerance():
    plain = train("adam", lambda groups: torch.optim.Adam(groups, lr=0.01, eps=1e-7))
    assert loss_difference("adam", plain.losses) > 1e-5


@pytest.mark.parametrize("step", [1, 5, 6])
@pytest.mark.parametrize("name", [DROP, "sgd_momentum_decay", "adam"])
def test_a_resumed_optimizer_goes_on_bit_for_bit(name: str, step: int):
    assert train(name, resume_before=step).losses == train(name).losses


@pytest.mark.parametrize("options", [{"foreach": False}, {"foreach": True}, {"fused": True}])
def test_every_implementation_of_torch_gives_keras_losses(options: dict[str, bool]):
    trace = train(DROP, lambda groups: KerasSGD(groups, lr=0.05, momentum=0.9, **options))
    assert loss_difference(DROP, trace.losses) < TOLERANCE


@pytest.mark.parametrize("resume_before", [None, 5])
@pytest.mark.parametrize("name", [DROP, "sgd_momentum_decay"])
def test_a_rate_in_a_tensor_is_followed_as_well(name: str, resume_before: int | None):
    def make(groups: list[dict[str, Any]]) -> KerasSGD:
        rate = torch.tensor(0.05, dtype=torch.float64)
        return KerasSGD(groups, lr=rate, momentum=0.9, fused=True)

    assert loss_difference(name, train(name, make, resume_before=resume_before).losses) < TOLERANCE


def one_weight(value: float = 1.0) -> nn.Parameter:
    weight = nn.Parameter(torch.full((1, 1), value, dtype=torch.float64))
    weight.grad = torch.ones_like(weight)
    return weight


@pytest.mark.parametrize("in_tensor", [False, True])
def test_a_rate_of_zero_leaves_the_velocity_for_the_next_rate(in_tensor: bool):
    weight = one_weight()
    optimizer = KerasSGD([weight], lr=0.1, momentum=0.5)

    def step(lr: float) -> float:
        rate = torch.tensor(lr, dtype=torch.float64) if in_tensor else lr
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        return weight.item()

    assert step(0.1) == pytest.approx(0.9)
    assert step(0.0) == pytest.approx(0.9)
    buffer = 1.5  # 0.5 * 1 + 1, at the scale of 0.1
    assert step(0.2) == pytest.approx(0.9 - 0.2 * (0.5 * buffer * 0.1 / 0.2 + 1))


@pytest.mark.parametrize("in_tensor", [False, True])
def test_first_rates_of_zero_do_no_harm(in_tensor: bool):
    weight = one_weight()
    rate = torch.tensor(0.0, dtype=torch.float64)
    optimizer = KerasSGD([weight], lr=rate if in_tensor else 0.0, momentum=0.5)
    optimizer.step()
    optimizer.step()
    optimizer.param_groups[0]["lr"] = rate.fill_(0.1) if in_tensor else 0.1
    optimizer.step()
    assert math.isfinite(weight.item())


def test_a_state_moves_between_rates_in_numbers_and_in_tensors():
    weight = one_weight()
    optimizer = KerasSGD([weight], lr=0.1, momentum=0.5)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = torch.tensor(0.2, dtype=torch.float64)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.1
    optimizer.step()
    velocity = [-0.1, 0.5 * -0.1 - 0.2, 0.5 * (0.5 * -0.1 - 0.2) - 0.1]  # Keras: m·v - lr·g
    assert weight.item() == pytest.approx(1 + sum(velocity))


def test_sgd_without_momentum_is_torch_sgd():
    mine, torchs = one_weight(), one_weight()
    pair = (KerasSGD([mine], lr=0.1), torch.optim.SGD([torchs], lr=0.1))
    for lr in (0.1, 0.05):
        for optimizer in pair:
            optimizer.param_groups[0]["lr"] = lr
            optimizer.step()
    assert torch.equal(mine, torchs)
    assert pair[0].state_dict()["state"] == pair[1].state_dict()["state"]


@pytest.mark.parametrize("resume_before", [None, 5])
def test_adam_follows_a_rate_in_a_tensor_too(resume_before: int | None):
    def make(groups: list[dict[str, Any]]) -> KerasAdam:
        return KerasAdam(groups, lr=torch.tensor(0.01, dtype=torch.float64))

    assert train("adam", make, resume_before=resume_before).losses == train("adam").losses


def test_the_count_of_steps_is_in_the_state():
    optimizer = KerasAdam([one_weight()], lr=0.01, eps=1e-7)
    optimizer.step()
    (group,) = optimizer.state_dict()["param_groups"]
    assert (group["eps"], group["steps_taken"]) == (1e-7, 1)
    assert group["steps_taken"].dtype == torch.float64


class TorchsAdam(torch.optim.Adam):
    """KerasAdam as it was before version 2: PyTorch's class, given another ε at every step."""

    def step(self, closure: None = None) -> None:
        (group,) = self.param_groups
        group["steps_taken"] = group.get("steps_taken", 0) + 1
        group["eps"] = 1e-7 / math.sqrt(1 - 0.999 ** group["steps_taken"])
        super().step()
        group["eps"] = 1e-7


@pytest.mark.parametrize("skipped", [0, 3])
def test_a_checkpoint_of_the_adam_before_is_read_right(skipped: int):
    old, new = one_weight(), one_weight()
    earlier = TorchsAdam([old], lr=0.01, eps=1e-7, fused=True)
    for _ in range(5):
        earlier.step()
    earlier.param_groups[0]["steps_taken"] += skipped  # it counted what float16 had skipped
    optimizer = KerasAdam([new], lr=0.01)
    optimizer.load_state_dict(copy.deepcopy(earlier.state_dict()))
    new.data.copy_(old.data)
    earlier.param_groups[0]["steps_taken"] -= skipped
    for _ in range(5):
        earlier.step()
        optimizer.step()
    assert new.item() == pytest.approx(old.item(), rel=1e-13)
    assert new.item() != 1
    (group,) = optimizer.state_dict()["param_groups"]
    fresh = KerasAdam([one_weight()]).state_dict()["param_groups"][0]
    assert set(group) - {"differentiable"} == {*fresh, "steps_taken"}  # PyTorch adds that one
    assert set(optimizer.state[new]) == {"exp_avg", "exp_avg_sq"}


@pytest.mark.parametrize("setting", [{"lr": -1.0}, {"betas": (0.9, 1.0)}, {"eps": 0.0}])
def test_a_setting_of_adam_that_is_out_of_range_is_named(setting: dict[str, Any]):
    with pytest.raises(ValueError, match=f"{next(iter(setting))}=.* is out of range"):
        KerasAdam([one_weight()], **setting)


def test_weights_of_two_types_are_updated_alike():
    one, other = one_weight(), nn.Parameter(torch.ones(1, 1))
    other.grad = torch.ones_like(other)
    KerasAdam([one, other], lr=0.01).step()
    assert other.item() == pytest.approx(one.item(), rel=1e-6)


@pytest.mark.parametrize("gradient", [1.0, 1e-7])
def test_adam_is_keras_formula_also_for_gradients_as_small_as_epsilon(gradient: float):
    weight, lr, epsilon = one_weight(0.0), 0.01, 1e-7
    optimizer = KerasAdam([weight], lr=lr, eps=epsilon)
    expected, m, v = 0.0, 0.0, 0.0
    for t in range(1, 6):
        weight.grad = torch.full_like(weight, gradient * t)
        optimizer.step()
        m = 0.9 * m + 0.1 * gradient * t
        v = 0.999 * v + 0.001 * (gradient * t) ** 2
        expected -= lr * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (math.sqrt(v) + epsilon)
    assert weight.item() == pytest.approx(expected, rel=1e-12)


def test_optimizers_return_the_loss_of_their_closure():
    for optimizer in (KerasSGD([one_weight()], lr=0.1), KerasAdam([one_weight()])):
        assert optimizer.step(lambda: 2.5) == 2.5


@pytest.mark.parametrize("kind", [KerasSGD, torch.optim.Adam, torch.optim.SGD])
def test_a_fused_step_equals_one_operation_after_the_other(kind: type[torch.optim.Optimizer]):
    weights = []
    for fused in (False, True):
        weight = nn.Parameter(torch.linspace(-1, 1, 100))
        optimizer = kind([{"params": [weight]}], lr=0.1, fused=fused, weight_decay=0.01)
        for _ in range(5):
            weight.grad = weight.detach().sin()
            optimizer.step()
        weights.append(weight.detach())
    torch.testing.assert_close(*weights)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_a_captured_step_equals_an_eager_one(kind: str):
    rates = [0.1, 0.1, 0.1, 0.01, 0.01, 0.05]
    eager = one_weight()
    optimizer = KerasSGD([eager], 0.1, 0.9) if kind == "sgd" else KerasAdam([eager], 0.1)
    for lr in rates:
        optimizer.param_groups[0]["lr"] = lr
        optimizer.step()
    assert _captured(kind, rates) == pytest.approx(eager.item(), rel=1e-5)


def _captured(kind: str, rates: list[float]) -> float:
    weight = nn.Parameter(torch.ones(1, 1, device="cuda"))
    weight.grad = torch.ones_like(weight)
    rate = torch.tensor(rates[0], device="cuda")
    optimizer = (
        KerasSGD([weight], rate, 0.9, fused=True) if kind == "sgd" else KerasAdam([weight], rate)
    )
    optimizer.step()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        optimizer.step()
    for lr in rates[1:]:
        rate.fill_(lr)
        graph.replay()
    return weight.item()


def test_kernels_are_decayed_and_everything_else_is_not():
    model = small_net()
    decayed, spared = parameter_groups(model, weight_decay=5e-4, decay="kernels")
    assert [id(p) for p in decayed["params"]] == [id(model[0].weight), id(model[3].weight)]
    assert [p.ndim for p in spared["params"]] == [1, 1, 1, 1]
    assert (decayed["weight_decay"], spared["weight_decay"]) == (5e-4, 0.0)


def test_all_parameters_are_decayed_when_asked():
    model = small_net()
    (group,) = parameter_groups(model, weight_decay=5e-4, decay="all")
    assert [id(p) for p in group["params"]] == [id(p) for p in model.parameters()]
    assert group["weight_decay"] == 5e-4


def test_frozen_parameters_and_empty_groups_are_left_out():
    model = small_net()
    model[0].requires_grad_(False)
    model[3].requires_grad_(False)
    (group,) = parameter_groups(model, weight_decay=5e-4, decay="kernels")
    assert [id(p) for p in group["params"]] == [id(p) for p in model[1].parameters()]


def test_an_unknown_kind_of_decay_is_named():
    with pytest.raises(UserError, match=r"train.decay=biases must be kernels, all, or a list"):
        parameter_groups(small_net(), weight_decay=0.0, decay="biases")


def test_patterns_of_names_say_what_is_decayed_and_what_the_penalty_is_of():
    model = small_net()
    decayed, spared = parameter_groups(model, weight_decay=5e-4, decay=["0.*", "3.bias"])
    assert [id(p) for p in decayed["params"]] == [
        id(p) for p in (model[0].weight, model[0].bias, model[3].bias)
    ]
    assert len(spared["params"]) == 3
    squares = sum(float(p.detach().square().sum()) for p in decayed["params"])
    assert float(penalty(model, 0.01, ["0.*", "3.bias"])) == pytest.approx(0.01 * squares, rel=1e-6)


@pytest.mark.parametrize(("version", "depth"), [(1, 20), (2, 29)])
def test_keras_resnet_has_its_regulariser_on_all_kernels_but_its_last_layers(
    version: int, depth: int
):
    path = Path(__file__).parents[1] / "conf/experiment/resnet20_keras_cifar10_as_seed.yaml"
    decay: list[str] = yaml.safe_load(path.read_text(encoding="utf-8"))["train"]["decay"]
    model = ResNetKeras(3, 10, input_size=32, version=version, depth=depth)
    kernels = [p for p in decayed(model, "kernels") if p is not model.fc.weight]
    assert [id(p) for p in decayed(model, decay)] == [id(p) for p in kernels]


def test_a_pattern_that_fits_no_name_is_told_beside_names():
    with pytest.raises(UserError, match=r"train.decay: 0.wieght fits no .* mean '0.weight'\?"):
        parameter_groups(small_net(), weight_decay=0.0, decay=["0.wieght"])


def test_the_penalty_is_lambda_times_the_squares_of_the_kernels():
    model = small_net()
    squares = sum(float(model[i].weight.detach().square().sum()) for i in (0, 3))
    assert float(penalty(model, 0.01)) == pytest.approx(0.01 * squares, rel=1e-6)


def test_the_penalty_is_a_float32_scalar_without_a_graph():
    value = penalty(small_net().to(torch.bfloat16), 0.01)
    assert value.shape == ()
    assert value.dtype == torch.float32
    assert not value.requires_grad


def test_a_model_without_kernels_has_no_penalty():
    assert penalty(nn.BatchNorm2d(3), 0.01).item() == 0


def test_weight_decay_is_the_gradient_of_the_penalty():
    model, l2 = small_net().double(), 0.01
    by_penalty = copy.deepcopy(model)
    squares: Tensor = l2 * sum(by_penalty[i].weight.square().sum() for i in (0, 3))
    squares.backward()
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    groups = parameter_groups(model, weight_decay=2 * l2, decay="kernels")
    torch.optim.SGD(groups, lr=1.0).step()
    torch.optim.SGD(by_penalty.parameters(), lr=1.0).step()
    for mine, other in zip(model.parameters(), by_penalty.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


def test_the_oracle_has_the_batches_that_its_text_tells_of():
    assert len(oracle()["labels"]) == BATCHES * 8
