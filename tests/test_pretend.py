"""Every part of a step, done on a GPU that computes nothing: nothing waits or is left behind."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from launches import LAUNCHES, NETWORKS, OPTIMIZERS, rehearsed
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException

import etude as package
from etude.base.errors import UserError
from etude.cli.compose import Composer, composing
from etude.config import build
from etude.data.augment.moves import Flip
from etude.data.normalize import fit
from etude.data.resident import Resident
from etude.models.lenet import LeNet5
from etude.preflight.pretend import NAME, Pretend, Waits
from etude.train.graph import Epoch, whole_step
from etude.train.schedule import Constant
from etude.train.state import State
from etude.train.step import Eager, Step

# In its own process a rehearsal cannot be watched, nor a fault be put into it.
pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU to do it on")

CONF = Path(package.__file__).parents[2] / "conf"
LENET = "model=lenet5 dataset=mnist"
FLIPS = f"{LENET} augment=crop_flip"


@pytest.fixture(scope="module")
def composer() -> Iterator[Composer]:
    with composing() as composer:
        yield composer


def choices(group: str) -> set[str]:
    return {path.stem for path in (CONF / group).glob("*.yaml")}


def chosen(group: str, rows: dict[str, int]) -> set[str]:
    words = [word.partition("=") for row in rows for word in row.split()]
    return {value for key, _, value in words if key == group}


def test_every_network_optimizer_augmentation_and_precision_is_rehearsed():
    assert chosen("model", NETWORKS) == choices("model")
    assert chosen("augment", NETWORKS) | {"none"} == choices("augment")
    assert chosen("optimizer", OPTIMIZERS) == choices("optimizer")
    for optimizer in choices("optimizer"):
        rows = {row: 0 for row in OPTIMIZERS if f"optimizer={optimizer} " in row}
        assert chosen("precision", rows) >= {"float32", "bfloat16"}


@pytest.mark.parametrize("words", LAUNCHES)
def test_a_captured_step_neither_waits_nor_launches_more_than_it_did(
    composer: Composer, words: str
):
    operations = rehearsed(words, composer).operations
    count = sum(operations.values())
    assert count <= LAUNCHES[words], f"{count} launches, of {operations}"


@pytest.mark.parametrize("optimizer", ["adadelta", "rmsprop", "rmsprop_tensorflow"])
def test_float16_waits_where_an_optimizer_has_no_fused_kernel(composer: Composer, optimizer: str):
    with pytest.raises(UserError, match="waits for the device") as caught:
        rehearsed(f"{LENET} optimizer={optimizer} precision=float16", composer)
    assert isinstance(caught.value.__cause__, DataDependentOutputException)


# --- it finds what it is for --------------------------------------------------------------------
def test_a_value_that_the_host_asks_for_is_found(
    composer: Composer, monkeypatch: pytest.MonkeyPatch
):
    def forward(self: LeNet5, images: Tensor) -> Tensor:
        return self.classifier(self.features(images).flatten(1)) * images.mean().item()

    monkeypatch.setattr(LeNet5, "forward", forward)
    with pytest.raises(UserError, match="waits for the device") as caught:
        rehearsed(LENET, composer)
    assert isinstance(caught.value.__cause__, DataDependentOutputException)


APART = (  # what PyTorch says of tensors on two devices
    "found two different devices" if torch.__version__ < "2.12"
    else "Expected all tensors to be on the same device"
)  # fmt: skip


def test_a_tensor_that_an_augmentation_makes_on_the_cpu_is_found(
    composer: Composer, monkeypatch: pytest.MonkeyPatch
):
    flip = Flip.__call__
    monkeypatch.setattr(
        Flip, "__call__", lambda self, images, draws: flip(self, images + torch.zeros(28), draws)
    )
    with pytest.raises(UserError, match=APART):
        rehearsed(FLIPS, composer)


def test_a_copy_from_the_host_is_found(composer: Composer, monkeypatch: pytest.MonkeyPatch):
    flip = Flip.__call__

    def copies(self: Flip, images: Tensor, draws: Tensor) -> Tensor:
        return flip(self, images + torch.zeros(28).to(images.device), draws)

    monkeypatch.setattr(Flip, "__call__", copies)
    with pytest.raises(UserError, match="goes from cpu to pretend") as caught:
        rehearsed(FLIPS, composer)
    assert isinstance(caught.value.__cause__, Waits)


def test_a_needless_second_pass_is_found(composer: Composer, monkeypatch: pytest.MonkeyPatch):
    words = f"{LENET} optimizer=adam_keras precision=float32"
    learn = Step._learn

    def twice(self: Step, images: Tensor, *args: Any, **how: Any) -> object:
        self._model(images)
        return learn(self, images, *args, **how)

    monkeypatch.setattr(Step, "_learn", twice)
    assert sum(rehearsed(words, composer).operations.values()) > LAUNCHES[words]


# --- eager and captured -------------------------------------------------------------------------
OPTIONS = {"lr": 0.1, "weight_decay": 0.01}
KINDS = [
    {"_target_": "torch.optim.SGD", "momentum": 0.9},
    {"_target_": "etude.train.optim.keras.KerasSGD", "momentum": 0.9},
    {"_target_": "torch.optim.Adam"},
    {"_target_": "etude.train.optim.keras.KerasAdam"},
    {"_target_": "torch.optim.Adadelta"},
    {"_target_": "torch.optim.RMSprop", "momentum": 0.9, "centered": True},
    {"_target_": "torch.optim.RMSprop"},
    {"_target_": "etude.train.optim.tensorflow.TensorFlowRMSprop"},
]


def updates(kind: dict[str, Any], *, captured: bool) -> dict[str, int]:
    """What a small network's update launches, in an eager step or in one that can be captured."""
    with Pretend() as pretend:
        device = pretend.device
        with device:
            model = LeNet5(1, 10, input_size=16)
        optimizer = build(
            {**kind, **OPTIONS}, params=list(model.parameters()), fused=True, capturable=True
        )
        scaler = torch.amp.GradScaler(NAME, enabled=False)
        schedule = Constant().bind(base_lr=0.1, steps_per_epoch=3, epochs=1, scale=1.0)
        state = State(model, optimizer, scaler, schedule, device, 3)
        step = Step(model, optimizer, scaler=scaler, device=device, precision="float32")
        pixels = torch.zeros(12, 1, 16, 16, dtype=torch.uint8)
        images = Resident(
            pixels, torch.zeros(12, dtype=torch.int64), normalize=fit("unit", pixels),
            augment=None, device=device, channels_last=True,
        )  # fmt: skip
        advance = _captured(state, step, images) if captured else _eager(state, step, images)
        advance()
        with pretend.watched():
            advance()
        return {name: n for name, n in pretend.operations.items() if name.startswith("_f")}


def _eager(state: State, step: Step, images: Resident) -> Callable[[], None]:
    eager = Eager(step)
    eager.begin(state, images, seed=0, batch_size=4)
    return lambda: eager.advance(state)


def _captured(state: State, step: Step, images: Resident) -> Callable[[], None]:
    epoch = Epoch.of(state, images, 0, 4)
    for group in state.optimizer.param_groups:
        group["lr"] = epoch.lr
    return lambda: whole_step(epoch, step, state, 4)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind["_target_"].rpartition(".")[2])
def test_an_eager_step_on_a_gpu_updates_by_the_operations_of_a_captured_one(kind: dict[str, Any]):
    """So their bits are equal: the rate is in a tensor, the count on the device, for both."""
    assert updates(kind, captured=False) == updates(kind, captured=True) != {}


def test_tensors_are_themselves_again_afterwards():
    with Pretend() as pretend:
        assert torch.ones(2, device=pretend.device).device.type == NAME
    assert torch.ones(2).sum().item() == 2
    assert torch.tensor([1.0, 2.0]).tolist() == [1.0, 2.0]
