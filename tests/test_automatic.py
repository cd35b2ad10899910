"""`train.step=auto`: captured where it can be, else eager in one line, with a stand-in for CUDA."""

import logging
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from conftest import SMALL
from stand_in import StandIn
from torch import nn

from etude.data.batch import Batch
from etude.data.normalize import fit
from etude.data.resident import Resident
from etude.models.lenet import LeNet5
from etude.train.automatic import Automatic
from etude.train.builders import make_steps
from etude.train.cuda import Cuda
from etude.train.graph import Captured
from etude.train.optim.keras import KerasSGD
from etude.train.record import tensorboard_views
from etude.train.replay import WARM_UP_STEPS, CannotCapture
from etude.train.schedule import Constant
from etude.train.state import State
from etude.train.step import Eager, Step

CPU = torch.device("cpu")
RATE = 2.0**-5  # the same number in float32
BATCH, IMAGES = 8, 6 * 8 + 3
EPOCHS = WARM_UP_STEPS + 2


class Own(KerasSGD):
    """A class of one's own, which could count on the host."""


def made(kind: type[torch.optim.Optimizer] = KerasSGD, *, scaled: bool = False) -> tuple[Any, ...]:
    torch.manual_seed(0)
    pixels = torch.randint(256, (IMAGES, 1, 16, 16), dtype=torch.uint8)
    images = Resident(
        pixels, torch.arange(IMAGES) % 10, normalize=fit("unit", pixels), augment=None,
        device=CPU, channels_last=True,
    )  # fmt: skip
    model = LeNet5(1, 10, input_size=16)
    optimizer = kind(model.parameters(), lr=RATE, momentum=0.5, fused=True)
    scaler = torch.amp.GradScaler("cpu", enabled=scaled, init_scale=1.0)
    steps = -(-IMAGES // BATCH)
    schedule = Constant().bind(base_lr=RATE, steps_per_epoch=steps, epochs=EPOCHS, scale=1.0)
    state = State(model, optimizer, scaler, schedule, CPU, steps)
    return state, Step(model, optimizer, scaler=scaler, device=CPU, precision="float32"), images


def trained(state: State, steps: Any, images: Any) -> torch.Tensor:
    seen = []
    for state.epoch in range(EPOCHS):
        state.step = 0
        steps.begin(state, images, seed=3, batch_size=BATCH)
        while state.step < state.steps:
            steps.advance(state)
        seen += [state.losses.clone(), state.correct.float()]
    return torch.cat([*seen, nn.utils.parameters_to_vector(state.model.parameters()).detach()])


def eager() -> torch.Tensor:
    state, step, images = made()
    return trained(state, Eager(step), images)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.INFO, logger="etude")
    return lambda: [record.message for record in caplog.records]


def test_what_can_be_captured_is_and_nothing_is_said(lines: Callable[[], list[str]]):
    state, step, images = made()
    cuda = StandIn()
    assert torch.equal(trained(state, Automatic(step, cuda), images), eager())
    # Of whole batches, and of each epoch's smaller last one.
    assert cuda.replayed == EPOCHS * 6 - WARM_UP_STEPS + EPOCHS - WARM_UP_STEPS
    assert lines() == []


REFUSING = {
    "waits": (StandIn(("mine.py:12", "mine.py:12")), "the host waits for the device at mine.py:12"),
    "fails": (StandIn(fails=True), "operation not permitted when stream is capturing"),
    "runs out": (StandIn(runs_out=True), "CUDA out of memory"),
}


@pytest.mark.parametrize("case", REFUSING)
def test_what_cannot_be_captured_goes_on_eagerly_with_nothing_lost(
    case: str, lines: Callable[[], list[str]]
):
    cuda, reason = REFUSING[case]
    state, step, images = made()
    assert torch.equal(trained(state, Automatic(step, cuda), images), eager())
    assert cuda.replayed == 0
    (line,) = lines()
    assert line == f"steps are done eagerly, which is slower: {reason}"


@pytest.mark.parametrize("case", REFUSING)
def test_who_asks_for_a_graph_is_told_no(case: str):
    cuda, reason = REFUSING[case]
    state, step, images = made()
    with pytest.raises(CannotCapture, match=f"train.step=graph .*{reason}.* train.step=auto"):
        trained(state, Captured(step, cuda), images)
    assert state.step == WARM_UP_STEPS  # the next has not been done


def test_a_network_that_counts_on_the_host_is_not_captured(
    monkeypatch: pytest.MonkeyPatch, lines: Callable[[], list[str]]
):
    """A graph would repeat for ever what the count was when it was captured."""
    forward = LeNet5.forward

    def counts(self: LeNet5, images: torch.Tensor) -> torch.Tensor:
        self.calls = getattr(self, "calls", 0) + 1
        return forward(self, images)

    monkeypatch.setattr(LeNet5, "forward", counts)
    state, step, images = made()
    cuda = StandIn()
    trained(state, Automatic(step, cuda), images)
    assert cuda.replayed == 0
    (line,) = lines()
    assert line.endswith("calls changes with every step, on the host")


class Streamed:
    """Images that are not on the device."""

    def __init__(self, images: Resident) -> None:
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def epoch(self, *words: int) -> Iterator[Batch]:
        return self._images.epoch(*words)


@pytest.mark.parametrize(
    ("options", "streams", "reason"),
    [
        ({}, True, "its images are streamed"),
        ({"scaled": True}, False, "float16's scaling"),
        ({"kind": Own}, False, "Own does not say that it can be, by taking `capturable`"),
    ],
)
def test_what_is_known_to_be_impossible_is_not_tried(
    options: dict[str, Any], streams: bool, reason: str, lines: Callable[[], list[str]]
):
    state, step, images = made(**options)
    cuda = StandIn()
    seen = trained(state, Automatic(step, cuda), Streamed(images) if streams else images)
    torch.testing.assert_close(seen, eager(), rtol=0, atol=1e-6)
    (line,) = lines()
    assert reason in line
    state, step, images = made(**options)
    with pytest.raises(CannotCapture, match=r"train\.step=graph"):
        trained(state, Captured(step, cuda), Streamed(images) if streams else images)
    assert cuda.replayed == 0


def test_a_resume_in_the_middle_is_captured_anew():
    state, step, images = made()
    steps = Automatic(step, StandIn())
    state.step = 4
    steps.begin(state, images, seed=3, batch_size=BATCH)
    while state.step < state.steps:
        steps.advance(state)
    assert state.losses[4:].all()
    assert not state.losses[:4].any()


@pytest.mark.parametrize("fails", [False, True])
def test_the_mode_that_finds_waits_is_restored_even_when_setting_it_warns(
    monkeypatch: pytest.MonkeyPatch, fails: bool
):
    modes: list[object] = [0]

    def put(mode: object) -> None:
        modes.append(mode)
        warnings.warn("a prototype feature", UserWarning, stacklevel=1)

    def function() -> None:
        warnings.warn("called a synchronizing CUDA operation", UserWarning, stacklevel=1)
        if fails:
            raise ZeroDivisionError

    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", put)
    monkeypatch.setattr(torch.cuda, "get_sync_debug_mode", lambda: modes[-1])
    if fails:
        with pytest.raises(ZeroDivisionError):
            Cuda().waits(function)
    else:
        (place,) = Cuda().waits(function)
        assert place.startswith(__file__)
    assert modes == [0, "warn", 0]


def test_the_default_captures_on_cuda_alone(composer: Any):
    (job,) = composer.run(["model=lenet5"]).jobs
    _, step, _ = made()
    assert isinstance(make_steps(job.config, step, torch.device("cuda")), Automatic)
    assert isinstance(make_steps(job.config, step, CPU), Eager)


def test_a_run_that_fails_while_it_is_profiled_ends_the_profile(
    etude: Callable[..., int], monkeypatch: pytest.MonkeyPatch
):
    opened: list[Any] = []
    step = tensorboard_views.Profile.step

    def fail(self: tensorboard_views.Profile, state: State) -> None:
        step(self, state)
        if self._profiler is not None:
            opened.append(self)
            raise ZeroDivisionError

    monkeypatch.setattr(tensorboard_views.Profile, "step", fail)
    assert etude(*SMALL, "train.batch_size=16", "record.profile=true") != 0
    (profile,) = opened
    assert profile._profiler is None
