import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from torchvision import models

from etude.cli.summary import main
from etude.launch.machine import MIB
from etude.models.vgg import VGG
from etude.train.memory import (
    count_outputs,
    count_parameters,
    predicted_bytes,
    state_copies,
    walk,
)

Summary = Callable[..., int]


@pytest.fixture
def summary(workplace: Path) -> Summary:
    """The command, in this process; returns its exit code."""

    def command(*words: str) -> int:
        return main(list(words))

    return command


@pytest.fixture
def described(summary: Summary, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """What the command gives as JSON."""

    def command(*words: str) -> Any:
        assert summary(*words, "--json") == 0
        return json.loads(capsys.readouterr().out)

    return command


# --- document 004's model --------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "outputs", "macs_millions"),
    [
        ("vgg11", 9_116_136, 7_609),
        ("vgg13", 13_933_032, 11_308),
        ("vgg16", 15_237_608, 15_470),
        ("vgg19", 16_542_184, 19_632),
    ],
)
def test_the_outputs_and_macs_of_vgg_are_the_known_ones(
    name: str, outputs: int, macs_millions: int
):
    with torch.device("meta"):
        layers = walk(getattr(models, name)(), (3, 224, 224))
    assert count_outputs(layers, (3, 224, 224)) == outputs
    assert round(sum(layer.macs for layer in layers) / 1e6) == macs_millions


@pytest.mark.parametrize(
    ("parameters", "outputs", "batch_size", "mib"),
    [
        (138_357_544, 15_237_608, 1, 1_700),
        (138_357_544, 15_237_608, 128, 16_464),
        (143_667_240, 16_542_184, 128, 17_799),
        (38_975_326, 345_610, 128, 784),
    ],
)
def test_the_predicted_memory_is_document_004s(
    parameters: int, outputs: int, batch_size: int, mib: int
):
    predicted = predicted_bytes(parameters, outputs, batch_size, copies=3)
    assert round(predicted / MIB) == mib


def test_batch_norm_adds_statistics_to_vgg19_but_no_counted_outputs():
    with torch.device("meta"):
        model = VGG(3, 10, variant="E", input_size=32, batch_norm=True, head_batch_norm=True)
    layers = walk(model, (3, 32, 32))
    assert count_outputs(layers, (3, 32, 32)) == 345_610
    assert count_parameters(model) == (38_975_326, 39_002_738)  # document 004's two columns
    assert sum(layer.parameters for layer in layers) == 38_975_326
    assert round(sum(layer.macs for layer in layers) / 1e6) == 417


@pytest.mark.parametrize(
    ("settings", "copies"),
    [
        ({"_target_": "torch.optim.SGD", "momentum": 0.9}, 3),
        ({"_target_": "torch.optim.SGD", "momentum": 0.0}, 2),
        ({"_target_": "etude.train.optim.keras.KerasSGD", "momentum": 0.9, "nesterov": True}, 3),
        ({"_target_": "torch.optim.Adam"}, 4),
        ({"_target_": "etude.train.optim.keras.KerasAdam"}, 4),
        ({"_target_": "torch.optim.Adadelta"}, 4),
        ({"_target_": "torch.optim.RMSprop"}, 3),
        ({"_target_": "torch.optim.RMSprop", "momentum": 0.9}, 4),
        ({"_target_": "torch.optim.RMSprop", "momentum": 0.9, "centered": True}, 5),
    ],
)
def test_the_copies_of_a_weight_are_those_that_its_optimizer_keeps(
    settings: dict[str, Any], copies: int
):
    weight = torch.nn.Parameter(torch.ones(1000))
    weight.grad = torch.ones(1000)
    optimizer = instantiate(settings, params=[weight], _convert_="all")
    optimizer.step()
    state = [value for value in optimizer.state[weight].values() if torch.is_tensor(value)]
    kept = sum(value.numel() for value in state if value.numel() == 1000)
    assert state_copies(settings) == copies == 2 + kept // 1000


def test_an_unknown_optimizer_has_no_known_copies():
    assert state_copies({"_target_": "mine.Lion"}) is None


# --- the command -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("words", "macs", "parameters"),
    [
        (["model=lenet5"], 281_640, 44_426),
        (["model=alexnet_mnist", "dataset=mnist"], 60_114_432, 3_900_938),
    ],
)
def test_the_macs_and_parameters_are_those_of_the_specification(
    described: Callable[..., Any], words: list[str], macs: int, parameters: int
):
    summary = described(*words)
    assert summary["macs"] == macs == sum(layer["macs"] for layer in summary["layers"])
    assert summary["parameters"] == {"trainable": parameters, "total": parameters}


def test_every_layer_is_listed_in_order_with_its_numbers(described: Callable[..., Any]):
    layers = described()["layers"]
    assert [layer["type"] for layer in layers[:3]] == ["Conv2d", "MaxPool2d", "ReLU"]
    assert layers[3] == {
        "name": "features.3",
        "type": "Conv2d",
        "shape": [16, 8, 8],
        "parameters": 2416,
        "macs": 16 * 8 * 8 * 6 * 25,
        "counted": True,
    }


def test_batch_size_and_accumulation_decide_the_predicted_memory(described: Callable[..., Any]):
    whole, parts = (
        described("optimizer=sgd", "train.batch_size=96", f"train.accumulate={n}")["memory"]
        for n in (1, 4)
    )
    assert (whole["batch_size"], parts["batch_size"]) == (96, 24)
    assert whole["predicted_bytes"] == 4 * (3 * 44_426 + 2 * 96 * whole["outputs"])
    assert whole["predicted_bytes"] - parts["predicted_bytes"] == 4 * 2 * 72 * whole["outputs"]


def test_the_table_shows_what_the_json_says(summary: Summary, capsys: pytest.CaptureFixture[str]):
    assert summary() == 0
    text = capsys.readouterr().out
    assert re.search(r"features\.3 +Conv2d +16×8×8 +2,416 +153,600 ", text)
    assert "44,426 trainable" in text
    assert "281,640 an image" in text
    assert "2.3 MiB" in text


def test_no_data_set_is_needed_and_nothing_is_written(
    summary: Summary, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    assert summary("dataset=cifar10") == 0
    assert "images of 3×32×32, 10 classes" in capsys.readouterr().out
    assert list(workplace.iterdir()) == []


def test_no_weights_are_needed_either(described: Callable[..., Any], monkeypatch, tmp_path: Path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # nothing has been fetched
    words = ["model=vgg_cifar", "dataset=cifar10", "init.weights=imagenet"]
    assert described(*words)["parameters"]["trainable"] == 38_975_326


def test_a_gpu_that_is_not_here_can_be_planned_for(described: Callable[..., Any]):
    assert described("device=cuda:99")["macs"] == 281_640


def test_a_network_of_torchvision_is_walked_through_too(
    described: Callable[..., Any], workplace: Path
):
    (workplace / "conf" / "model").mkdir(parents=True)
    (workplace / "conf" / "model" / "squeezenet.yaml").write_text(
        "_target_: torchvision.models.squeezenet1_1\nnum_classes: 10\n"
    )
    words = ["--config-dir=conf", "model=squeezenet", "dataset=cifar10"]
    assert described(*words)["parameters"]["total"] == 727_626


BAD = [
    ("train.epocs=3", ["train.epocs", "did you mean 'train.epochs'"]),
    ("optimizer.lr=-1", ["optimizer.lr=-1", "above 0"]),
    ("model=lenet5,alexnet_mnist", ["model=lenet5,alexnet_mnist"]),
    ("train.batch_size=5000", ["train.batch_size=5000", "1,293 images"]),
    ("dataset=folder dataset.root=nowhere dataset.input_size=32", ["nowhere", "no folder"]),
    ("model=alexnet_mnist dataset.input_size=8", ["input_size=8", "at least 12"]),
    ("study=depth", ["study=depth", "experiment="]),
    ("--nonsense", ["--nonsense", "--help"]),
    ("--config-dir nowhere", ["nowhere", "no folder"]),
]


@pytest.mark.parametrize(("words", "said"), BAD)
def test_bad_input_gets_one_line_and_code_2(
    summary: Summary, capsys: pytest.CaptureFixture[str], words: str, said: list[str]
):
    assert summary(*words.split(), "--json") == 2
    output, errors = capsys.readouterr()
    assert output == ""
    (line,) = errors.splitlines()
    assert all(part in line for part in said)


def test_a_network_that_cannot_take_the_images_is_refused_in_one_line(
    summary: Summary, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    (workplace / "conf" / "model").mkdir(parents=True)
    (workplace / "conf" / "model" / "alexnet.yaml").write_text(
        "_target_: torchvision.models.alexnet\n"
    )
    assert summary("--config-dir=conf", "model=alexnet") == 2  # made for three channels
    (line,) = capsys.readouterr().err.splitlines()
    assert "alexnet does not take images of 1×28×28" in line


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without CUDA")
def test_measuring_without_cuda_is_refused_in_one_line(
    summary: Summary, capsys: pytest.CaptureFixture[str]
):
    assert summary("--measure", "--json") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--measure needs CUDA" in line


@pytest.mark.gpu
def test_measuring_gives_the_peak_beside_the_prediction(described: Callable[..., Any]):
    memory = described("--measure", "precision=float32")["memory"]
    assert memory["measured_bytes"] > 4 * 4 * 44_426  # the weights' copies alone
    assert memory["precision"] == "float32"


@pytest.mark.parametrize(("words", "code"), [(["--help"], 0), (["l2=-1"], 2)])
def test_help_and_refusals_do_not_import_torch(words: list[str], code: int):
    script = (
        "import sys; from etude.cli.summary import main; code = main(sys.argv[1:]); "
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )
    result = subprocess.run([sys.executable, "-c", script, *words], check=False)
    assert result.returncode == code
