"""What legacy Keras 2 did on a tiny network, and the same network trained here, in float64.

`oracles/keras.json` was written by Keras; its `about` describes network, data and steps. It does
not give the optimizers' settings: those in `CASES` are the only round ones that reproduce it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from etude.train.optim.decay import parameter_groups, penalty
from etude.train.optim.keras import KerasAdam, KerasSGD
from etude.train.schedule import Constant, InverseTime, Schedule, Steps

STEPS = 10
BATCH_SIZE = 8
BATCHES = 3
BN_MOMENTUM = 0.01  # 1 - Keras's

MakeOptimizer = Callable[[list[dict[str, Any]]], torch.optim.Optimizer]


@dataclass(frozen=True)
class Case:
    optimizer: MakeOptimizer
    lr: float
    schedule: Schedule


@dataclass(frozen=True)
class Trace:
    """What a case's training left: losses as Keras reports them, weights under Keras's names."""

    losses: list[float]
    evaluate_loss: float
    weights: dict[str, Tensor]


CASES = {
    "sgd_momentum_nesterov": Case(
        lambda groups: KerasSGD(groups, lr=0.05, momentum=0.9, nesterov=True), 0.05, Constant()
    ),
    "sgd_momentum_decay": Case(
        lambda groups: KerasSGD(groups, lr=0.05, momentum=0.9),
        0.05,
        InverseTime(decay_per_step=0.1),
    ),
    "adadelta_keras1_rate": Case(
        lambda groups: torch.optim.Adadelta(groups, lr=1.0, rho=0.95, eps=1e-7), 1.0, Constant()
    ),
    "adam": Case(lambda groups: KerasAdam(groups, lr=0.01, eps=1e-7), 0.01, Constant()),
    "sgd_l2": Case(lambda groups: KerasSGD(groups, lr=0.05, momentum=0.9), 0.05, Constant()),
    "sgd_momentum_rate_drop_at_step_5": Case(
        lambda groups: KerasSGD(groups, lr=0.05, momentum=0.9),
        0.05,
        Steps(milestones_epochs=[1], values=[0.05, 0.005]),  # in epochs of 5 steps
    ),
}


@cache
def oracle() -> dict[str, Any]:
    path = Path(__file__).parent / "oracles" / "keras.json"
    return json.loads(path.read_text(encoding="utf-8"))


def expected_weights(name: str) -> dict[str, Tensor]:
    return {key: _tensor(value) for key, value in oracle()["cases"][name]["final"].items()}


class TinyNet(nn.Module):
    """The oracle's network; its dense layer sees the channels last."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, padding=1)
        self.bn = nn.BatchNorm2d(4, eps=1e-3, momentum=BN_MOMENTUM)
        self.dense = nn.Linear(64, 5)
        self.double()
        self._load(oracle()["initial"])

    @torch.no_grad()
    def _load(self, initial: dict[str, Any]) -> None:
        self.conv.weight.copy_(_tensor(initial["conv/kernel"]).permute(3, 2, 0, 1))  # HWIO to OIHW
        self.conv.bias.copy_(_tensor(initial["conv/bias"]))
        self.bn.weight.copy_(_tensor(initial["bn/gamma"]))
        self.bn.bias.copy_(_tensor(initial["bn/beta"]))
        self.dense.weight.copy_(_tensor(initial["dense/kernel"]).T)
        self.dense.bias.copy_(_tensor(initial["dense/bias"]))

    def forward(self, images: Tensor) -> Tensor:
        features = functional.max_pool2d(torch.relu(self.bn(self.conv(images))), 2)
        return self.dense(features.permute(0, 2, 3, 1).flatten(1))

    def keras_weights(self) -> dict[str, Tensor]:
        return {
            "conv/kernel": self.conv.weight.detach().permute(2, 3, 1, 0),
            "conv/bias": self.conv.bias.detach(),
            "bn/gamma": self.bn.weight.detach(),
            "bn/beta": self.bn.bias.detach(),
            "bn/moving_mean": self.bn.running_mean,
            "bn/moving_variance": self.bn.running_var,
            "dense/kernel": self.dense.weight.detach().T,
            "dense/bias": self.dense.bias.detach(),
        }


def train(
    name: str, optimizer: MakeOptimizer | None = None, *, resume_before: int | None = None
) -> Trace:
    """Train a case of the oracle, perhaps with another optimizer than its own.

    With `resume_before` the optimizer is thrown away before that step, and a new one takes up its
    saved state.
    """
    case, l2 = CASES[name], oracle()["cases"][name]["l2"]
    make = optimizer or case.optimizer
    schedule = case.schedule.bind(base_lr=case.lr, steps_per_epoch=5, epochs=2, scale=1.0)
    model = TinyNet()
    groups = parameter_groups(model, weight_decay=2 * l2, decay="kernels")
    update = make(groups)
    losses: list[float] = []
    for step in range(STEPS):
        if step == resume_before:
            update = _revived(update, make(groups))
        losses.append(_train_step(model, update, lr=schedule.lr_at(step), step=step, l2=l2))
    return Trace(losses, _evaluate(model, l2=l2), model.keras_weights())


def _train_step(
    model: TinyNet, optimizer: torch.optim.Optimizer, *, lr: float, step: int, l2: float
) -> float:
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr
    images, labels = _data()
    first = step % BATCHES * BATCH_SIZE
    batch = slice(first, first + BATCH_SIZE)
    loss = functional.cross_entropy(model(images[batch]), labels[batch])
    reported = float(loss.detach() + penalty(model, l2))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return reported


def _revived(old: torch.optim.Optimizer, new: torch.optim.Optimizer) -> torch.optim.Optimizer:
    new.load_state_dict(old.state_dict())
    return new


@torch.no_grad()
def _evaluate(model: TinyNet, *, l2: float) -> float:
    _keep_biased_variance(model.bn)
    model.eval()
    images, labels = _data()
    return float(functional.cross_entropy(model(images), labels) + penalty(model, l2))


def _keep_biased_variance(bn: nn.BatchNorm2d) -> None:
    """Turn the running variance into the one that Keras keeps in float64, which is not corrected.

    A batch has n = 8 images of 8 × 8 pixels, so PyTorch's share of each is n / (n - 1) larger.
    """
    n = BATCH_SIZE * 8 * 8
    initial = (1 - BN_MOMENTUM) ** STEPS  # what is left of the variance of 1 at the start
    bn.running_var.sub_(initial).mul_((n - 1) / n).add_(initial)


def _data() -> tuple[Tensor, Tensor]:
    images = _tensor(oracle()["images_nhwc"]).permute(0, 3, 1, 2)
    return images, torch.tensor(oracle()["labels"])


def _tensor(values: Any) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
