"""How signals spread through a network before its first step."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import summary_of

from etude.data.batch import Batch
from etude.models.vgg import VGG
from etude.report.layers import layers_of
from etude.report.read import read_run
from etude.train.init import Normal
from etude.train.record.layers import layer_spreads

QUICK = ["train.epochs=1", "dataset.limit_train=80", "dataset.limit_test=20",
         "record.curves=false", "record.tensorboard=false", "device=cpu"]  # fmt: skip


def deep(std: float, *, batch_norm: bool = False) -> tuple[VGG, Batch]:
    model = VGG(3, 10, variant="A", input_size=32, width=0.25, hidden=64, batch_norm=batch_norm)
    Normal(std=std)(model, seed=0)
    images = torch.randn(32, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    return model, Batch(images, torch.arange(32) % 10)


@pytest.mark.parametrize(("std", "grows"), [(0.01, False), (0.3, True)])
def test_a_signal_vanishes_or_explodes_as_the_gains_say(std: float, grows: bool):
    model, batch = deep(std)
    layers = layer_spreads(model, batch, label_smoothing=0.0)
    assert [layer["layer"] for layer in layers] == [
        name
        for name, module in model.named_modules()
        if getattr(module, "weight", None) is not None
    ]
    inner = layers[2:8]  # fed by ReLU, and by many units
    assert all((layer["gain"] > 1) == grows for layer in inner)
    first, last = inner[0]["activation"], inner[-1]["activation"]
    assert first is not None
    assert last is not None
    assert (last > first) == grows


def test_a_layers_gain_is_what_it_multiplies_by():
    model, batch = deep(0.1)
    layers = {layer["layer"]: layer for layer in layer_spreads(model, batch, label_smoothing=0.0)}
    one, other = (layers[f"features.stage4.conv{index}"] for index in (1, 2))
    assert one["activation"] is not None
    assert other["activation"] is not None
    assert other["activation"] / one["activation"] == pytest.approx(other["gain"], rel=0.3)


def test_the_network_and_the_random_numbers_stay_as_they_are():
    model, batch = deep(0.05, batch_norm=True)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = torch.get_rng_state()
    model.eval()
    layers = layer_spreads(model, batch, label_smoothing=0.0)
    assert not model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    spreads = [layer["activation"] for layer in layers]
    assert None not in spreads


def test_a_run_writes_them_where_they_are_asked_for_and_learns_the_same(
    etude: Callable[..., int], workplace: Path
):
    plain, asked = (["name=plain"], ["name=asked", "record.layers=true"])
    assert etude(*QUICK, *plain) == etude(*QUICK, *asked) == 0
    one, other = (next(workplace.glob(f"outputs/{name}/*")) for name in ("plain", "asked"))
    assert one.name == other.name
    losses = [summary_of(folder)["final"]["train_loss"] for folder in (one, other)]
    assert losses[0] == losses[1]
    assert not layers_of(read_run(one))
    assert layers_of(read_run(other))[0]["layer"] == "features.0"
