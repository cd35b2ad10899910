import gc
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any
from unittest.mock import MagicMock
from weakref import WeakKeyDictionary

import pytest
import torch
from no_waits import no_waits

from benchmarks.check_steps import AtOnce
from etude.base.errors import UserError
from etude.base.side_stream import side_stream
from etude.data.augment.augment import Augment
from etude.data.normalize import fit
from etude.data.resident import Resident
from etude.data.resize import resize
from etude.data.sources.digits import Digits
from etude.models.lenet import LeNet5
from etude.train import cuda
from etude.train.cuda import Cuda
from etude.train.graph import Captured, Epoch
from etude.train.optim.keras import KerasAdam, KerasSGD
from etude.train.replay import WARM_UP_STEPS
from etude.train.schedule import Cosine
from etude.train.state import State
from etude.train.step import Eager, Step

BATCH, EPOCHS = 128, WARM_UP_STEPS + 2  # the last ones with a captured last batch
IMAGES = 3 * BATCH + 50  # the last batch is an odd one

OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "sgd": (KerasSGD, {"momentum": 0.9, "nesterov": True, "fused": True}),
    "adam": (KerasAdam, {}),
    "rmsprop": (torch.optim.RMSprop, {}),
    "adadelta": (torch.optim.Adadelta, {}),
}


def made(optimizer: str, device: torch.device, **settings: Any) -> tuple[State, Step, Resident]:
    """Build everything that an epoch needs, from one seed."""
    torch.manual_seed(0)
    train = Digits().load().train
    pixels = resize(train.images[:IMAGES], 16, "bilinear")
    images = Resident(
        pixels,
        train.labels[:IMAGES],
        normalize=fit("unit", pixels),
        augment=Augment(shift_fraction=0.1, crop_padding=2, flip_probability=0.5),
        device=device,
        channels_last=True,
    )
    model = LeNet5(1, 10, input_size=16).to(device)
    kind, own = OPTIMIZERS[optimizer]
    scaler = torch.amp.GradScaler(device.type, enabled=False)
    optimizer_ = kind(model.parameters(), lr=0.01, **own, **settings)
    schedule = Cosine(warmup_epochs=1, final_fraction=0.1)
    steps = -(-len(images) // BATCH)
    schedule.bind(base_lr=0.01, steps_per_epoch=steps, epochs=EPOCHS, scale=1.0)
    state = State(model, optimizer_, scaler, schedule, device, steps)
    return state, Step(model, optimizer_, scaler=scaler, device=device, precision="float32"), images


def trained(state: State, steps: AtOnce | Eager | Captured, images: Resident) -> torch.Tensor:
    """Train for some epochs; the losses and the weights."""
    seen = []
    for epoch in range(EPOCHS):
        state.epoch, state.step = epoch, 0
        steps.begin(state, images, seed=3, batch_size=BATCH)
        while state.step < state.steps:
            steps.advance(state)
        seen += [state.losses.clone(), state.correct.float()]
    weights = torch.nn.utils.parameters_to_vector(state.model.parameters()).detach()
    return torch.cat([*seen, weights])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_what_is_captured_computes_what_the_eager_loop_does(optimizer: str):
    cpu = torch.device("cpu")
    state, step, images = made(optimizer, cpu)
    expected = trained(state, Eager(step), images)
    state, step, images = made(optimizer, cpu)
    assert torch.equal(trained(state, AtOnce(step), images), expected)


def test_the_rates_of_an_epoch_reach_the_device():
    state, _, images = made("sgd", torch.device("cpu"))
    state.epoch = 1
    epoch = Epoch.of(state, images, 3, BATCH)
    assert epoch.rates.tolist() == pytest.approx([state.schedule.lr_at(4 + i) for i in range(4)])


def test_an_epoch_under_way_is_taken_up_at_its_step():
    state, _, images = made("sgd", torch.device("cpu"))
    state.epoch, state.step = 1, 2
    epoch = Epoch.of(state, images, 3, BATCH)
    assert epoch.step.tolist() == [2]
    assert torch.equal(epoch.order, images.order(3, 1))


def test_streamed_images_are_refused():
    state, step, _ = made("sgd", torch.device("cpu"))
    with pytest.raises(UserError, match="its images are streamed"):
        Captured(step).begin(state, object(), seed=0, batch_size=BATCH)


@pytest.mark.gpu
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_captured_run_equals_an_eager_one(optimizer: str):
    cuda = torch.device("cuda")
    state, step, images = made(optimizer, cuda)
    expected = trained(state, Eager(step), images)
    ours = optimizer in ("sgd", "adam")  # they need not be told
    capturable = {} if ours else {"capturable": True}
    state, step, images = made(optimizer, cuda, **capturable)
    torch.testing.assert_close(
        trained(state, Captured(step), images), expected, rtol=1e-3, atol=1e-4
    )


@pytest.mark.gpu
def test_replayed_steps_never_wait_for_the_device():
    state, step, images = made("sgd", torch.device("cuda"))
    steps = Captured(step)
    trained(state, steps, images)
    state.epoch, state.step = 0, 0
    steps.begin(state, images, seed=3, batch_size=BATCH)
    with no_waits():
        while state.step < state.steps:
            steps.advance(state)


@pytest.mark.gpu
def test_a_network_that_waits_for_the_device_is_refused():
    state, _, images = made("sgd", torch.device("cuda"))

    class Waits(LeNet5):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return super().forward(images) * float(images.mean() > -1)

    state.model.__class__ = Waits
    step = Step(
        state.model, state.optimizer, scaler=state.scaler, device=state.device, precision="float32"
    )
    with pytest.raises(UserError, match="cannot capture this run"):
        trained(state, Captured(step), images)


def test_all_that_is_done_aside_shares_one_stream(monkeypatch: pytest.MonkeyPatch):
    made_streams: list[Any] = []

    class Made:
        def __init__(self, _: torch.device) -> None:
            made_streams.append(self)

        def wait_stream(self, _: Any) -> None: ...

    monkeypatch.setattr(torch.cuda, "Stream", Made)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda _: made_streams[0])
    monkeypatch.setattr(torch.cuda, "stream", lambda _: nullcontext())
    side_stream.cache_clear()
    done: list[int] = []
    for number in range(3):
        Cuda().aside(partial(done.append, number), torch.device("cuda:0"))
    side_stream.cache_clear()
    assert done == [0, 1, 2]
    assert len(made_streams) == 1


def test_a_graph_is_captured_on_its_own_device_and_leaves_the_stream_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
):
    """Also where it fails: PyTorch then leaves the capture's stream behind."""
    at: dict[str, Any] = {"device": 0, "stream": "usual 0"}
    seen: list[tuple[Any, ...]] = []

    class Graph:
        def pool(self) -> str:
            return f"pool of {id(self)}"

        def replay(self) -> None: ...

    @contextmanager
    def on(device: torch.device) -> Iterator[None]:
        before = dict(at)
        at.update(device=device.index, stream=f"usual {device.index}")
        try:
            yield
        finally:
            at.update(before)

    @contextmanager
    def using(stream: Any) -> Iterator[None]:
        before = at["stream"]
        try:
            yield
        finally:
            at["stream"] = before

    @contextmanager
    def capturing(_: Graph, *, pool: Any, stream: Any) -> Iterator[None]:
        at["stream"] = stream
        seen.append((at["device"], pool, stream))
        yield

    numbers = MagicMock()
    for name, value in {
        "CUDAGraph": Graph, "device": on, "stream": using, "graph": capturing,
        "Stream": "capture {}".format, "current_device": lambda: at["device"],
        "current_stream": lambda: at["stream"], "default_generators": numbers,
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(cuda, "_graphs", WeakKeyDictionary())
    cuda._capture_stream.cache_clear()
    replays = [
        Cuda().capture(lambda: None, torch.device("cuda", number)) for number in (1, 0, 1, 0)
    ]
    with pytest.raises(RuntimeError, match="no"):
        Cuda().capture(MagicMock(side_effect=RuntimeError("no")), torch.device("cuda", 1))
    cuda._capture_stream.cache_clear()
    assert at == {"device": 0, "stream": "usual 0"}
    pools = [replay.__self__.pool() for replay in replays]
    assert seen == [
        (1, None, "capture 1"), (0, None, "capture 0"),
        (1, pools[0], "capture 1"), (0, pools[1], "capture 0"), (1, pools[0], "capture 1"),
    ]  # fmt: skip
    numbers.__getitem__.assert_called_once_with(1)


@pytest.mark.gpu
def test_epochs_with_a_smaller_last_batch_take_no_more_memory_each():
    state, step, images = made("sgd", torch.device("cuda"))
    steps, held = Captured(step), []
    for _ in range(4):
        trained(state, steps, images)
        gc.collect()
        held.append(torch.cuda.memory_allocated())
    assert held[-1] == held[0]


@pytest.mark.gpu
def test_a_second_run_of_a_process_is_captured_as_well():
    for _ in range(2):
        state, step, images = made("sgd", torch.device("cuda"))
        trained(state, Captured(step), images)
        del state, step, images
        gc.collect()


@pytest.mark.gpu
def test_random_numbers_go_on_after_a_capture_that_failed():
    def waits() -> None:
        float(torch.rand(2, device="cuda").sum())

    with pytest.raises(RuntimeError):
        Cuda().capture(waits, torch.device("cuda"))
    assert torch.rand(2, device="cuda").isfinite().all()
    numbers = torch.zeros(2, device="cuda")
    Cuda().capture(lambda: numbers.add_(1), torch.device("cuda"))()
    assert numbers.tolist() == [1, 1]
