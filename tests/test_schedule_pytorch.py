"""PyTorch's schedules give the rates that they give in a loop of PyTorch's own, to the bit."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import SMALL, only_run
from torch.optim import lr_scheduler as pytorch

from etude.base.errors import UserError
from etude.runs.records import read_rows
from etude.train.schedule.pytorch import wrapped

EPOCHS, STEPS = 6, 7
Etude = Callable[..., int]
Output = pytest.CaptureFixture[str]

PLANNED: list[tuple[Any, dict[str, Any]]] = [
    (pytorch.StepLR, {"step_size": 2, "gamma": 0.3}),
    (pytorch.MultiStepLR, {"milestones": [1, 4], "gamma": 0.3}),
    (pytorch.ExponentialLR, {"gamma": 0.9}),
    (pytorch.CosineAnnealingLR, {"T_max": 5, "eta_min": 1e-4}),
    (pytorch.CosineAnnealingWarmRestarts, {"T_0": 2, "T_mult": 2}),
    (pytorch.LinearLR, {"start_factor": 0.2, "total_iters": 4}),
    (pytorch.PolynomialLR, {"total_iters": 4, "power": 2.0}),
    (pytorch.CyclicLR, {"base_lr": 0.01, "max_lr": 0.1, "cycle_momentum": False}),
    (pytorch.OneCycleLR, {"max_lr": 0.2, "total_steps": EPOCHS * STEPS, "cycle_momentum": False}),
    (pytorch.LambdaLR, {"lr_lambda": lambda count: 1 / (1 + count)}),  # pyright: ignore[reportUnknownLambdaType]
]


def bound(make: "partial[Any]", per: str = "epoch", *, scale: float = 1.0, epochs: int = EPOCHS):
    schedule = wrapped(scheduler=make, per=per)
    return schedule.bind(base_lr=0.1, steps_per_epoch=STEPS, epochs=epochs, scale=scale)


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)


def plain(make: "partial[Any]", per: str) -> list[float]:
    """The rates of every step in a loop as PyTorch's documentation has it."""
    around = optimizer()
    scheduler, rates = make(around), []
    for step in range(EPOCHS * STEPS):
        rates.append(around.param_groups[0]["lr"])
        around.step()
        if (per == "step" and step + 1 < EPOCHS * STEPS) or (step + 1) % STEPS == 0:
            scheduler.step()
    return rates


@pytest.mark.parametrize("per", ["epoch", "step"])
@pytest.mark.parametrize(("scheduler", "settings"), PLANNED)
def test_a_planned_schedule_gives_pytorchs_rates(scheduler: Any, settings: Any, per: str):
    if scheduler is pytorch.OneCycleLR:
        per = "step"
    make = partial(scheduler, **settings)
    schedule = bound(make, per)
    assert [schedule.lr_at(step) for step in range(EPOCHS * STEPS)] == plain(make, per)


def test_the_rate_of_any_step_is_known_without_those_before_it():
    make = partial(pytorch.ExponentialLR, gamma=0.9)
    assert bound(make, "step").lr_at(30) == plain(make, "step")[30]


def test_schedules_inside_another_wait_for_the_same_optimizer():
    inner = [partial(pytorch.LinearLR, total_iters=2), partial(pytorch.ExponentialLR, gamma=0.5)]
    schedule = bound(partial(pytorch.SequentialLR, schedulers=inner, milestones=[2]))
    around = optimizer()
    theirs = pytorch.SequentialLR(around, [make(around) for make in inner], milestones=[2])
    for epoch in range(EPOCHS):
        assert schedule.lr_at(epoch * STEPS) == around.param_groups[0]["lr"]
        around.step()
        theirs.step()


def test_a_plateau_gives_pytorchs_rates_and_goes_on_from_its_state():
    make = partial(pytorch.ReduceLROnPlateau, patience=1, factor=0.5, cooldown=1)
    losses = [1.0, 0.9, 0.95, 0.93, 0.92, 0.91, 0.5, 0.6, 0.6, 0.6]
    schedule, around = bound(make), optimizer()
    theirs = make(around)
    for loss in losses:
        schedule.epoch_ended(loss=loss, train_error=0.5)
        theirs.step(loss)
        assert schedule.lr_at(0) == around.param_groups[0]["lr"]
        resumed = bound(make)
        resumed.load_state_dict(schedule.state_dict())
        schedule = resumed
    assert schedule.lr_at(0) < 0.1


@pytest.mark.parametrize("per", ["epoch", "step"])
def test_a_scaled_run_goes_through_the_whole_schedule(per: str):
    make = partial(pytorch.ExponentialLR, gamma=0.9)
    whole, half = bound(make, per), bound(make, per, scale=0.5, epochs=EPOCHS // 2)
    for step in range(EPOCHS * STEPS // 2):
        assert half.lr_at(step) == whole.lr_at(2 * step)


def test_a_plateaus_patience_is_not_scaled_and_it_says_so():
    with pytest.warns(UserWarning, match=r"scale=0.5 does not change the patience of ReduceLROn"):
        bound(partial(pytorch.ReduceLROnPlateau, patience=4), scale=0.5)


def test_one_cycle_takes_the_runs_length():
    given = {"max_lr": 0.2, "cycle_momentum": False}
    ours = bound(partial(pytorch.OneCycleLR, **given), "step")
    theirs = plain(partial(pytorch.OneCycleLR, **given, total_steps=EPOCHS * STEPS), "step")
    assert [ours.lr_at(step) for step in range(EPOCHS * STEPS)] == theirs


BAD = [
    (pytorch.StepLR, {"step_size": 0}, "epoch", "StepLR: ZeroDivisionError"),
    (pytorch.MultiStepLR, {"milestones": 3}, "epoch", "MultiStepLR: TypeError"),
    (pytorch.LinearLR, {"start_factor": -1}, "epoch", "LinearLR: ValueError: Starting"),
    (pytorch.ConstantLR, {"factor": 0.1, "last_epoch": 3}, "epoch", "KeyError"),
    (pytorch.OneCycleLR, {"max_lr": 1}, "step", r"\+scheduler.cycle_momentum=false"),
    (pytorch.OneCycleLR, {"max_lr": 1, "cycle_momentum": False, "total_steps": 9}, "step",
     "total_steps=9 must be at least the run's 42 steps"),
    (pytorch.ReduceLROnPlateau, {}, "step", "per=step: ReduceLROnPlateau"),
    (pytorch.ReduceLROnPlateau, {"mode": "max"}, "epoch", "mode=max.*set mode=min"),
    (pytorch.LambdaLR, {"lr_lambda": lambda _: -1.0}, "epoch", "rate of -0.1 must be >= 0"),  # pyright: ignore[reportUnknownLambdaType]
]  # fmt: skip


@pytest.mark.parametrize(("scheduler", "settings", "per", "said"), BAD)
def test_what_cannot_be_is_refused_before_the_run(
    scheduler: Any, settings: dict[str, Any], per: str, said: str
):
    with pytest.raises(UserError, match=said):
        bound(partial(scheduler, **settings), per)


THEIRS = "torch.optim.lr_scheduler"
STEP_LR = [
    "scheduler=pytorch", f"scheduler._target_={THEIRS}.StepLR", "+scheduler.step_size=1",
    "+scheduler.gamma=0.5",
]  # fmt: skip


def rates(workplace: Path) -> list[float]:
    return [row["lr"] for row in read_rows(only_run(workplace))]


def test_a_schedule_of_pytorchs_is_named_on_the_command_line(etude: Etude, workplace: Path):
    assert etude(*SMALL, *STEP_LR, "optimizer.lr=0.01", "train.epochs=3") == 0
    assert rates(workplace) == [0.01, 0.005, 0.0025]


def test_a_file_of_the_users_own_puts_schedules_one_after_the_other(etude: Etude, workplace: Path):
    file = workplace / "conf" / "scheduler" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(
        f"_target_: {THEIRS}.SequentialLR\nper: epoch\nmilestones: [1]\nschedulers:\n"
        f"  - {{_target_: {THEIRS}.ConstantLR, factor: 0.1, total_iters: 1}}\n"
        f"  - {{_target_: {THEIRS}.CosineAnnealingLR, T_max: '${{train.epochs}}'}}\n"
    )
    words = ["--config-dir=conf", "scheduler=mine", "optimizer.lr=0.01", "train.epochs=3"]
    assert etude(*SMALL, *words) == 0
    around = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.01)
    inner = [
        pytorch.ConstantLR(around, factor=0.1, total_iters=1),
        pytorch.CosineAnnealingLR(around, T_max=3),
    ]
    theirs = pytorch.SequentialLR(around, inner, milestones=[1])
    for rate in rates(workplace):
        assert rate == around.param_groups[0]["lr"]
        around.step()
        theirs.step()


REFUSED = [
    (["scheduler=pytorch"], ["scheduler._target_=<class>"]),
    ([*STEP_LR, "+scheduler.gama=1"], ["scheduler.gama", "did you mean 'scheduler.gamma'"]),
    ([*STEP_LR, "scheduler.per=batch"], ["per=batch must be epoch or step"]),
    ([*STEP_LR, "~scheduler.per"], ["per must be epoch or step", "+scheduler.per=epoch"]),
    ([*STEP_LR, "scheduler.step_size=0"], ["StepLR", "ZeroDivisionError"]),
    (["scheduler=pytorch", f"scheduler._target_={THEIRS}.ReduceLROnPlateau",
      "dataset.validation_split=none"], ["a plateau watches the evaluation loss"]),
]  # fmt: skip


@pytest.mark.parametrize(("words", "said"), REFUSED)
def test_a_wrong_setting_of_theirs_gets_one_line(
    etude: Etude, workplace: Path, capsys: Output, words: list[str], said: list[str]
):
    assert etude(*SMALL, *words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(part in line for part in said), line
    assert not (workplace / "outputs").exists()
