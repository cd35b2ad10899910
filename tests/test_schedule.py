import json
import math
from typing import Any

import pytest
from keras_oracle import oracle

from etude.base.errors import UserError
from etude.train.schedule import (
    Constant,
    Cosine,
    Exponential,
    InverseTime,
    Plateau,
    Schedule,
    Steps,
    WarmedSteps,
)


def bound(
    schedule: Schedule,
    *,
    base_lr: float = 0.1,
    steps_per_epoch: int = 10,
    epochs: int = 20,
    scale: float = 1.0,
) -> Schedule:
    return schedule.bind(
        base_lr=base_lr, steps_per_epoch=steps_per_epoch, epochs=epochs, scale=scale
    )


def keras_plateau(**changes: float) -> Plateau:
    settings = {"factor": 0.1, "patience_epochs": 2, "min_delta": 1e-4} | {
        "cooldown_epochs": 0,
        "min_lr": 0.0,
    }
    return Plateau(**(settings | changes))


def rates_after(schedule: Schedule, losses: list[float]) -> list[float]:
    rates: list[float] = []
    for loss in losses:
        schedule.epoch_ended(loss=loss, train_error=0.5)
        rates.append(schedule.lr_at(0))
    return rates


def test_a_constant_rate_is_the_optimizers():
    schedule = bound(Constant())
    assert [schedule.lr_at(step) for step in (0, 10**6)] == [0.1, 0.1]


def test_document_004_has_81_epochs_at_the_first_rate():
    schedule = Steps(milestones_epochs=[81, 141], values=[0.01, 0.005, 0.001])
    bound(schedule, base_lr=0.01, steps_per_epoch=391, epochs=200)
    for epoch in range(200):
        documented = 0.01 if epoch <= 80 else 0.005 if epoch <= 140 else 0.001
        first = epoch * 391
        assert {schedule.lr_at(first), schedule.lr_at(first + 390)} == {documented}


def test_a_factor_is_applied_at_every_milestone():
    schedule = bound(Steps(milestones_epochs=[1, 2], factor=0.1))
    assert schedule.lr_at(9) == 0.1
    assert schedule.lr_at(10) == pytest.approx(0.01)
    assert schedule.lr_at(20) == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("milestone", "scale", "first_step_after"),
    [(1.04, 1.0, 10), (1.05, 1.0, 11), (1.25, 1.0, 13), (81, 0.1, 81), (1, 0.26, 3)],
)
def test_a_milestone_between_two_steps_moves_to_the_nearer_one(
    milestone: float, scale: float, first_step_after: int
):
    schedule = bound(Steps(milestones_epochs=[milestone], factor=0.5), scale=scale)
    assert schedule.lr_at(first_step_after - 1) == 0.1
    assert schedule.lr_at(first_step_after) == 0.05


def test_rates_that_replace_the_optimizers_say_so():
    schedule = Steps(milestones_epochs=[1], values=[0.01, 0.001])
    with pytest.warns(UserWarning, match=r"lr=0.1 is ignored.*set lr=0.01"):
        bound(schedule, base_lr=0.1)
    assert schedule.lr_at(0) == 0.01


@pytest.mark.parametrize(
    ("settings", "rule"),
    [
        ({"milestones_epochs": [1]}, "give exactly one"),
        ({"milestones_epochs": [1], "factor": 0.1, "values": [1, 2]}, "give exactly one"),
        ({"milestones_epochs": [1], "values": [0.1]}, r"one more than .*: 2, not 1"),
        ({"milestones_epochs": [2, 1], "factor": 0.1}, r"milestones_epochs=\[2.0, 1.0\].*increas"),
        ({"milestones_epochs": [1, 1], "factor": 0.1}, "increasing"),
        ({"milestones_epochs": [0], "factor": 0.1}, "above 0"),
        ({"milestones_epochs": [1], "factor": 0}, "factor=0 must be > 0"),
        ({"milestones_epochs": [1], "values": [0.1, -0.1]}, "must be >= 0"),
        ({"milestones_epochs": [1], "values": [0.1, math.nan]}, "must be >= 0"),
    ],
)
def test_steps_that_make_no_sense_are_refused(settings: dict[str, object], rule: str):
    with pytest.raises(UserError, match=rule):
        Steps(**settings)


def test_a_staircase_falls_at_the_end_of_each_interval():
    schedule = bound(Exponential(factor=0.94, every_epochs=2, staircase=True))
    assert [schedule.lr_at(step) for step in (0, 19)] == [0.1, 0.1]
    assert schedule.lr_at(20) == pytest.approx(0.1 * 0.94)
    assert schedule.lr_at(59) == pytest.approx(0.1 * 0.94**2)


def test_without_a_staircase_the_rate_falls_at_every_step():
    schedule = bound(Exponential(factor=0.25, every_epochs=2, staircase=False))
    assert schedule.lr_at(10) == pytest.approx(0.05)
    assert schedule.lr_at(20) == pytest.approx(0.025)


def test_scaled_intervals_do_not_drift():
    # an interval of 3.3 steps ends after 3.3, 6.6, 9.9 and 13.2 steps
    schedule = bound(Exponential(factor=0.5, every_epochs=0.66, staircase=True), scale=0.5)
    powers = [round(math.log2(0.1 / schedule.lr_at(step))) for step in range(15)]
    assert [powers.index(n) for n in (1, 2, 3, 4)] == [3, 7, 10, 13]


def test_keras_decay_is_the_inverse_of_time():
    schedule = bound(InverseTime(decay_per_step=0.1))
    assert schedule.lr_at(0) == 0.1
    assert schedule.lr_at(5) == pytest.approx(0.1 / 1.5)


def test_a_scaled_decay_has_the_same_rates_in_shorter_time():
    full, short = InverseTime(decay_per_step=0.01), InverseTime(decay_per_step=0.01)
    bound(full)
    bound(short, scale=0.1)
    assert short.lr_at(10) == pytest.approx(full.lr_at(100))


def test_the_plateau_is_that_of_keras():
    expected = oracle()["reduce_lr_on_plateau"]
    schedule = keras_plateau(
        factor=expected["factor"], patience_epochs=expected["patience"], min_lr=expected["min_lr"]
    )
    bound(schedule, base_lr=expected["start"])
    rates = rates_after(schedule, expected["val_loss"])
    assert rates == pytest.approx(expected["lr_after_epoch"], rel=1e-6)  # Keras's are float32


def test_the_plateau_stops_at_the_lowest_rate():
    schedule = bound(keras_plateau(patience_epochs=1, min_lr=0.005))
    assert rates_after(schedule, [1.0] * 4) == pytest.approx([0.1, 0.01, 0.005, 0.005])


def reference_keras_plateau(
    losses: list[float], *, factor: float, patience: int, cooldown: int
) -> list[float]:
    """Keras 2.2.4's ReduceLROnPlateau.on_epoch_end, line by line."""
    lr, best, wait, cooldown_counter, rates = 0.1, math.inf, 0, 0, []
    for current in losses:
        if cooldown_counter > 0:
            cooldown_counter -= 1
            wait = 0
        if current < best - 1e-4:
            best = current
            wait = 0
        elif not cooldown_counter > 0:
            wait += 1
            if wait >= patience:
                lr *= factor
                cooldown_counter = cooldown
                wait = 0
        rates.append(lr)
    return rates


@pytest.mark.parametrize("patience", [1, 2, 3])
@pytest.mark.parametrize("cooldown", [0, 1, 2, 4])
def test_the_cooldown_is_that_of_keras(patience: int, cooldown: int):
    losses = [1.0, 0.9] + [0.9] * 12 + [0.8] + [0.8] * 6
    schedule = bound(keras_plateau(patience_epochs=patience, cooldown_epochs=cooldown))
    assert rates_after(schedule, losses) == pytest.approx(
        reference_keras_plateau(losses, factor=0.1, patience=patience, cooldown=cooldown)
    )


def test_a_cooldown_of_two_holds_the_patience_for_one_epoch():
    schedule = bound(keras_plateau(patience_epochs=1, cooldown_epochs=2, factor=0.5))
    # reduced at 1; cools at 2; at 3 the cool-down ends and patience of 1 is over at once
    assert rates_after(schedule, [1.0] * 5) == [0.1, 0.05, 0.05, 0.025, 0.025]


def test_patience_is_scaled_but_never_below_one_epoch():
    schedule = bound(keras_plateau(patience_epochs=10, cooldown_epochs=10), scale=0.01)
    assert rates_after(schedule, [1.0] * 3) == pytest.approx([0.1, 0.01, 0.001])
    schedule = bound(keras_plateau(patience_epochs=10), scale=0.2)
    assert rates_after(schedule, [1.0] * 3) == pytest.approx([0.1, 0.1, 0.01])


def test_a_loss_that_is_not_a_number_is_no_improvement():
    schedule = bound(keras_plateau(patience_epochs=1))
    assert rates_after(schedule, [math.nan]) == pytest.approx([0.01])


@pytest.mark.parametrize("epoch", range(1, 20, 3))
def test_a_resumed_plateau_goes_on_as_if_nothing_had_happened(epoch: int):
    losses = [1.0, 0.9] + [0.9] * 10 + [0.8] * 8
    whole = bound(keras_plateau(patience_epochs=3, cooldown_epochs=2))
    expected = rates_after(whole, losses)
    first, second = (keras_plateau(patience_epochs=3, cooldown_epochs=2) for _ in range(2))
    rates = rates_after(bound(first), losses[:epoch])
    bound(second).load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert second.lr_at(0) == rates[-1]
    assert rates + rates_after(second, losses[epoch:]) == expected


@pytest.mark.parametrize(
    "schedule",
    [
        Constant(),
        Steps(milestones_epochs=[1], factor=0.1),
        Exponential(factor=0.9, every_epochs=1, staircase=True),
        InverseTime(decay_per_step=1e-3),
        Cosine(warmup_epochs=1, final_fraction=0.0),
    ],
    ids=lambda schedule: type(schedule).__name__,
)
def test_planned_schedules_are_functions_of_the_step_alone(schedule: Schedule):
    bound(schedule)
    before = [schedule.lr_at(step) for step in range(200)]
    schedule.epoch_ended(loss=1.0, train_error=0.9)
    schedule.epoch_ended(loss=None, train_error=0.1)
    assert [schedule.lr_at(step) for step in reversed(range(200))] == before[::-1]
    assert schedule.state_dict() == {}
    schedule.load_state_dict({})


def warmed(**changes: Any) -> WarmedSteps:
    settings = {"warmup_lr": 0.01, "until_error": 0.8, "milestones_epochs": [3], "factor": 0.1}
    return WarmedSteps(**(settings | changes))


def test_a_warm_up_ends_with_the_first_epoch_below_the_error_and_does_not_come_back():
    schedule = bound(warmed())
    rates: list[float] = []
    for epoch, error in enumerate([0.85, 0.8, 0.79, 0.95]):
        rates.append(schedule.lr_at(10 * epoch))
        schedule.epoch_ended(loss=None, train_error=error)
    assert rates == [0.01, 0.01, 0.01, pytest.approx(0.01)]  # the milestone after epoch 3
    assert schedule.lr_at(29) == 0.1
    assert schedule.lr_at(30) == pytest.approx(0.01)


@pytest.mark.parametrize("error", [0.9, 0.5])
def test_a_warm_up_goes_on_as_it_was_after_a_resume(error: float):
    first, second = bound(warmed()), bound(warmed())
    first.epoch_ended(loss=None, train_error=error)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert second.lr_at(10) == first.lr_at(10) == (0.01 if error > 0.8 else 0.1)


@pytest.mark.parametrize("wrong", [{"warmup_lr": 0.0}, {"until_error": 0.0}, {"until_error": 1.0}])
def test_a_warm_up_that_cannot_be_is_refused(wrong: dict[str, float]):
    with pytest.raises(UserError, match=f"{next(iter(wrong))}=.* must be"):
        warmed(**wrong)


def test_the_warm_up_is_a_line_and_the_rest_half_a_cosine():
    schedule = bound(Cosine(warmup_epochs=1, final_fraction=0.1))
    assert schedule.lr_at(0) == pytest.approx(0.01)
    assert schedule.lr_at(4) == pytest.approx(0.05)
    assert schedule.lr_at(9) == pytest.approx(0.1)
    assert schedule.lr_at(9 + 95) == pytest.approx(0.055)  # half way to step 199
    assert schedule.lr_at(199) == pytest.approx(0.01)
    rates = [schedule.lr_at(step) for step in range(9, 200)]
    assert rates == sorted(rates, reverse=True)


def test_a_cosine_without_warm_up_starts_at_the_full_rate():
    schedule = bound(Cosine(warmup_epochs=0, final_fraction=0.0))
    assert schedule.lr_at(0) == 0.1
    assert schedule.lr_at(199) == pytest.approx(0.0, abs=1e-12)
    assert schedule.lr_at(500) == pytest.approx(0.0, abs=1e-12)


def test_the_warm_up_is_scaled_with_the_run():
    schedule = bound(Cosine(warmup_epochs=5, final_fraction=0.0), epochs=4, scale=0.2)
    assert schedule.lr_at(8) == pytest.approx(0.09)
    assert schedule.lr_at(9) == pytest.approx(0.1)


def test_a_run_of_one_step_has_the_full_rate():
    schedule = bound(Cosine(warmup_epochs=0, final_fraction=0.0), steps_per_epoch=1, epochs=1)
    assert schedule.lr_at(0) == 0.1


def test_a_warm_up_as_long_as_the_run_is_refused():
    with pytest.raises(UserError, match=r"warmup_epochs=20 .* shorter than the run of 20 epochs"):
        bound(Cosine(warmup_epochs=20, final_fraction=0.0))


@pytest.mark.parametrize(
    ("build", "rule"),
    [
        (lambda: Exponential(factor=0, every_epochs=1, staircase=True), "factor=0 must be > 0"),
        (lambda: Exponential(factor=0.9, every_epochs=0, staircase=True), "every_epochs=0"),
        (lambda: InverseTime(decay_per_step=-1), "decay_per_step=-1 must be >= 0"),
        (lambda: keras_plateau(factor=1.0), "factor=1.0 must be between 0 and 1"),
        (lambda: keras_plateau(patience_epochs=0), "patience_epochs=0 must be >= 1"),
        (lambda: keras_plateau(min_delta=-1), "min_delta=-1"),
        (lambda: keras_plateau(cooldown_epochs=-1), "cooldown_epochs=-1"),
        (lambda: keras_plateau(min_lr=math.nan), "min_lr=nan"),
        (lambda: Cosine(warmup_epochs=-1, final_fraction=0.0), "warmup_epochs=-1"),
        (lambda: Cosine(warmup_epochs=0, final_fraction=1.5), "final_fraction=1.5"),
    ],
)
def test_values_out_of_range_are_named(build, rule: str):
    with pytest.raises(UserError, match=rule):
        build()
