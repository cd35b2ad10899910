"""A step that float16's scaling skips leaves no trace: nobody has counted it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from etude.config import build
from etude.models.lenet import LeNet5
from etude.train.optim.keras import KerasAdam, KerasSGD
from etude.train.optim.tensorflow import TensorFlowRMSprop
from etude.train.schedule import Cosine, Schedule
from etude.train.skipped import Updates, begin_velocities
from etude.train.state import State
from etude.train.step import Step
from etude.train.weight_average import WeightAverage

CPU = torch.device("cpu")
Make = Callable[[list[nn.Parameter]], torch.optim.Optimizer]
OPTIMIZERS: dict[str, Make] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, fused=True),
    "sgd_keras": lambda p: KerasSGD(p, lr=0.1, momentum=0.9, fused=True),
    "sgd_plain": lambda p: torch.optim.SGD(p, lr=0.1, fused=True),
    "adam": lambda p: torch.optim.Adam(p, fused=True),
    "adam_keras": KerasAdam,
    "adadelta": torch.optim.Adadelta,
    "rmsprop": torch.optim.RMSprop,
    "rmsprop_tensorflow": TensorFlowRMSprop,
}
OVERFLOWS = [True, False, False, True, True, False, False]  # which steps do
RATES = [0.1, 0.1, 0.02, 0.3, 0.01, 0.01, 0.05]


def batch(*, overflows: bool) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(8, 1, 16, 16, generator=generator)
    return images * (torch.inf if overflows else 1), torch.arange(8)


def trained(make: Make, *, skipping: bool, clip_norm: float | None = None) -> dict[str, Any]:
    """Train with steps that are skipped among others, or by the others alone.

    In float32, where scaling by a power of two changes no bit.
    """
    torch.manual_seed(0)
    model = LeNet5(1, 10, input_size=16)
    optimizer = make(list(model.parameters()))
    begin_velocities(optimizer)
    average = WeightAverage(model, decay=0.9, updates=Updates(optimizer, CPU))
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**12)
    step = Step(
        model, optimizer, scaler=scaler, device=CPU, precision="float32", clip_norm=clip_norm
    )
    for number, (overflows, rate) in enumerate(zip(OVERFLOWS, RATES, strict=True)):
        if overflows and not skipping:
            continue
        for group in optimizer.param_groups:
            group["lr"] = rate
        step(*batch(overflows=overflows))
        average.update(number + 1)
    averaged = nn.utils.parameters_to_vector(average.model.parameters())
    weights = nn.utils.parameters_to_vector(model.parameters()).detach()
    assert average.updates is not None
    return {"weights": weights, "averaged": averaged, "updates": average.updates.count}


@pytest.mark.parametrize("clip_norm", [None, 0.5])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weights_and_their_average_are_those_of_the_steps_that_were_made(
    name: str, clip_norm: float | None
):
    torch.full((500_000,), torch.nan)  # what a velocity that nobody wrote may find
    seen = trained(OPTIMIZERS[name], skipping=True, clip_norm=clip_norm)
    expected = trained(OPTIMIZERS[name], skipping=False, clip_norm=clip_norm)
    assert int(seen["updates"]) == OVERFLOWS.count(False)
    assert torch.isfinite(seen["weights"]).all()
    for key, value in expected.items():
        # Keras's velocity is rescaled to a skipped step's rate and back: rounded once more.
        close = 1e-5 if name == "sgd_keras" else 0
        torch.testing.assert_close(seen[key], value, rtol=close, atol=0, msg=key)


def test_keras_adam_counts_the_steps_that_were_made():
    weight = nn.Parameter(torch.ones(3))
    optimizer = KerasAdam([weight])
    scaler = torch.amp.GradScaler("cpu")
    for overflows in OVERFLOWS:
        scaler.scale(weight.sum() * (torch.inf if overflows else 1)).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    assert optimizer.param_groups[0]["steps_taken"] == OVERFLOWS.count(False)


def test_an_average_by_updates_is_that_by_steps_where_none_is_skipped():
    averages = []
    for counted in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        updates = Updates(optimizer, CPU) if counted else None
        average = WeightAverage(model, decay=0.75, updates=updates)
        for step in range(1, 8):
            model(torch.randn(5, 4)).square().sum().backward()
            optimizer.step()
            average.update(step)
        averages.append(average.model.state_dict())
    for one, other in zip(*(values.values() for values in averages), strict=True):
        torch.testing.assert_close(one, other)


def state_of(model: nn.Module, schedule: Schedule) -> State:
    optimizer = build({"_target_": "torch.optim.Adam"}, params=list(model.parameters()), fused=True)
    scaler = torch.amp.GradScaler("cpu")
    average = WeightAverage(model, decay=0.9, updates=Updates(optimizer, CPU))
    return State(model, optimizer, scaler, schedule, CPU, 4, average)


def test_a_resume_goes_on_with_the_count_of_updates():
    states = []
    for _ in range(2):
        schedule = Cosine(warmup_epochs=0, final_fraction=0.1)
        schedule.bind(base_lr=0.1, steps_per_epoch=4, epochs=2, scale=1.0)
        states.append(state_of(LeNet5(1, 10, input_size=16), schedule))
    first, other = states
    assert first.updates is not None
    first.updates.fill_(3)
    first.step = 2
    saved = first.state_dict()
    other.load_state_dict(saved)
    assert other.updates == 3
    del saved["updates"]  # as a checkpoint of an earlier version
    other.load_state_dict(saved)
    assert other.updates == 2


def test_a_schedule_goes_by_batches_skipped_or_not():
    """All of an epoch's rates are known before it begins, and its end is reached."""
    schedule = Cosine(warmup_epochs=0, final_fraction=0.1)
    schedule.bind(base_lr=0.1, steps_per_epoch=4, epochs=2, scale=1.0)
    state = state_of(LeNet5(1, 10, input_size=16), schedule)
    step = Step(state.model, state.optimizer, scaler=state.scaler, device=CPU, precision="float32")
    rates = []
    for overflows in (True, False, True):
        rates.append(state.set_rate())
        step(*batch(overflows=overflows))
        state.step_done()
    assert rates == [schedule.lr_at(0), schedule.lr_at(1), schedule.lr_at(2)]
