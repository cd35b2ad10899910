"""The averages over seeds, and a run's own view, as TensorBoard reads and shows them."""

import json
import socket
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from browser import chromium, complaints
from conftest import SMALL, only_run
from fake_runs import Make, maker
from safetensors.torch import load_file
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams.metadata import (
    SESSION_START_INFO_TAG,
    parse_session_start_info_plugin_data,
)

from etude.cli.report import main

with warnings.catch_warnings(action="ignore"):  # of what TensorBoard has inside it
    from tensorboard.plugins.custom_scalar.custom_scalars_plugin import CustomScalarsPlugin
    from tensorboard.plugins.hparams.backend_context import Context

EVERYTHING = [f"record.{key}=true" for key in (
    "graph", "augmented", "predictions", "histograms", "pr_curves", "embeddings", "profile",
)]  # fmt: skip


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return maker(tmp_path)


def events(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder))
    found.Reload()
    return found


def averages(folder: Path) -> Path:
    """Report on all runs; give the place of what TensorBoard reads."""
    assert main([str(folder / "runs"), "--tensorboard", "--format", "none"]) == 0
    return folder / "runs" / "report" / "tensorboard"


def context(folder: Path) -> TBContext:
    """What TensorBoard's plugins read a folder by."""
    multiplexer = EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(folder))
    return TBContext(data_provider=provider, plugin_name_to_instance={})


def test_each_arm_is_a_run_with_its_mean_and_its_band(make: Make, tmp_path: Path):
    for seed, lowest in ((0, 0.2), (1, 0.6)):
        path = make("0.1", seed, 0.9)
        (path / "metrics.jsonl").write_text(
            "".join(f'{{"epoch": {n}, "train_accuracy": {lowest * n}}}\n' for n in (1, 2))
        )
    make("0.01", 0, 0.5)
    folder = averages(tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == ["lr=0.01", "lr=0.1"]
    found = events(folder / "lr=0.1")
    for tag, expected in {
        "accuracy/train": [0.4, 0.8],
        "seeds/accuracy/train/lowest": [0.2, 0.4],
        "seeds/accuracy/train/highest": [0.6, 1.2],
    }.items():
        points = found.Scalars(tag)
        assert [p.step for p in points] == [1, 2]
        assert [p.value for p in points] == pytest.approx(expected)


def test_a_layout_draws_each_mean_with_its_band(make: Make, tmp_path: Path):
    make("0.1", 0, 0.9)
    other = make("0.01", 0, 0.5)
    (other / "metrics.jsonl").write_text('{"epoch": 1, "lr": 1, "test_accuracy": 0.5}\n')
    plugin = CustomScalarsPlugin(context(averages(tmp_path)))
    layout = json.loads(plugin.layout_impl(RequestContext(), ""))
    assert [category["title"] for category in layout["category"]] == ["accuracy", "loss", "run"]
    charts = {c["title"]: c["margin"]["series"] for own in layout["category"] for c in own["chart"]}
    assert set(charts) == {"accuracy/test", "accuracy/train", "accuracy/validation", "loss/train",
                           "loss/validation", "run/lr"}  # fmt: skip
    for tag, series in charts.items():
        assert series == [
            {"value": tag, "lower": f"seeds/{tag}/lowest", "upper": f"seeds/{tag}/highest"}
        ]


def test_hparams_have_the_settings_in_which_arms_differ_and_no_other(make: Make, tmp_path: Path):
    alike = {"l2": 0.0, "seed": 0, "model._target_": "etude.models.lenet.LeNet5"}
    for rate, optimizer in (("0.1", "SGD"), ("0.01", "Adam")):
        own = {"optimizer.lr": float(rate), "optimizer._target_": f"torch.optim.{optimizer}"}
        make(rate, 0, 0.9, hyperparameters={**alike, **own})
    board = Context(context(averages(tmp_path)))
    runs = board.hparams_metadata(RequestContext(), "")
    found = board.experiment_from_metadata(
        RequestContext(), "", True, runs, board.hparams_from_data_provider(RequestContext(), "", 99)
    )
    assert {info.name for info in found.hparam_infos} == {"optimizer", "optimizer.lr"}
    starts = {
        run: parse_session_start_info_plugin_data(tags[SESSION_START_INFO_TAG])
        for run, tags in runs.items()
    }
    assert [start.hparams["optimizer"].string_value for _, start in sorted(starts.items())] == [
        "Adam", "SGD",
    ]  # fmt: skip
    assert {start.group_name for start in starts.values()} == {
        "rate=0.1 (runs)",
        "rate=0.01 (runs)",
    }


def test_one_arm_alone_has_no_hparams(make: Make, tmp_path: Path):
    make("0.1", 0, 0.9)
    board = Context(context(averages(tmp_path)))
    assert board.hparams_metadata(RequestContext(), "") == {}


@pytest.mark.slow
def test_an_arms_average_joins_the_row_of_its_seeds(etude: Callable[..., int], workplace: Path):
    assert etude("-m", *SMALL, "optimizer.lr=0.1,0.01") == 0
    assert main([str(workplace / "outputs"), "--tensorboard", "--format", "none"]) == 0
    runs = Context(context(workplace / "outputs")).hparams_metadata(RequestContext(), "")
    groups = [
        parse_session_start_info_plugin_data(tags[SESSION_START_INFO_TAG]).group_name
        for tags in runs.values()
    ]
    assert len(groups) == 4
    assert len(set(groups)) == 2


def test_everything_that_is_switched_on_is_in_the_runs_own_folder(
    etude: Callable[..., int], workplace: Path
):
    assert etude(*SMALL, *EVERYTHING) == 0
    folder = only_run(workplace)
    tags = events(folder).Tags()
    assert {"train/augmented", "test/wrong", "test/confusion"} <= set(tags["images"])
    assert {"norm/weights", "norm/gradients"} <= set(tags["scalars"])
    kinds = {tag.partition("/")[0] for tag in tags["histograms"]}
    assert kinds == {"weights", "gradients"}
    assert tags["graph"]
    assert len([tag for tag in tags["tensors"] if tag.startswith("test/")]) == 10  # classes
    assert (folder / "trace.json").stat().st_size > 1000
    assert list(folder.rglob("tensors.tsv"))


def test_what_is_looked_at_does_not_change_what_is_learnt(
    etude: Callable[..., int], workplace: Path
):
    words = [*SMALL, "model=alexnet_mnist", "dataset.input_size=28", "train.epochs=2"]
    off = ["record.norms=false", "record.confusion=false", "record.tensorboard=false"]
    assert etude(*words, "name=off", *off) == 0
    assert etude(*words, "name=on", *EVERYTHING) == 0
    one, other = (
        load_file(next(workplace.glob(f"outputs/{name}/*/best.safetensors")))
        for name in ("off", "on")
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_browser_shows_scalars_hyperparameters_images_and_averages(
    etude: Callable[..., int], workplace: Path
):
    assert etude("-m", *SMALL, "seed=0,1", "record.predictions=true") == 0
    assert main([str(workplace / "outputs"), "--tensorboard", "--format", "none"]) == 0
    port = free_port()
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(workplace / "outputs"),
               "--port", str(port), "--host", "127.0.0.1"]  # fmt: skip
    board = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/data/runs", "report/tensorboard")
        with chromium() as window:
            for page, wanted in {
                "timeseries": ["accuracy/test", "norm2cards", "asconfigured"],
                "custom_scalars": ["accuracy/validation", "loss/train"],
                "hparams": ["optimizer.lr", "accuracy/test"],
                "images": ["test/confusion", "test/wrong"],
            }.items():
                window.get(f"http://127.0.0.1:{port}/?darkMode=false#{page}")
                window.refresh()
                assert_shown(window, wanted)
            assert complaints(window) == []
    finally:
        board.terminate()
        board.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(address: str, wanted: str) -> None:
    for _ in range(120):
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310
                if wanted in answer.read().decode():
                    return
        except OSError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"{address} never said {wanted}")


def assert_shown(window: Any, wanted: list[str]) -> None:
    """Wait for texts on the page, those in its components' own trees included."""
    script = """
    const all = (root) => [...root.querySelectorAll('*:not(style):not(script)')].map(
        (e) => [e.childElementCount ? '' : e.textContent, e.shadowRoot ? all(e.shadowRoot) : '']);
    return all(document).flat(99).join(' ').replace(/\\s+/g, ' ');
    """
    for _ in range(60):
        text = window.execute_script(script)
        missing = [word for word in wanted if word not in text.replace(" ", "")]
        if not missing:
            return
        time.sleep(0.5)
    raise AssertionError(f"{missing} not in: {text[:3000]}")
