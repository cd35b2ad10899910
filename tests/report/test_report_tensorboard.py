"""The averages over seeds, and a run's own view, as TensorBoard reads and shows them."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from browser import chromium, complaints
from conftest import SMALL, only_run
from fake_runs import Make, maker
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from etude.cli.report import main

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


def test_the_mean_and_the_band_of_each_arm_are_runs_of_their_own(make: Make, tmp_path: Path):
    for seed, lowest in ((0, 0.2), (1, 0.6)):
        path = make("0.1", seed, 0.9)
        (path / "metrics.jsonl").write_text(
            "".join(f'{{"epoch": {n}, "train_accuracy": {lowest * n}}}\n' for n in (1, 2))
        )
    make("0.01", 0, 0.5)
    runs = tmp_path / "runs"
    assert main([str(runs), "--tensorboard", "--format", "none"]) == 0
    folder = runs / "report" / "tensorboard" / "lr=0.1"
    for kind, expected in {"mean": [0.4, 0.8], "lowest": [0.2, 0.4], "highest": [0.6, 1.2]}.items():
        points = events(folder / kind).Scalars("accuracy/train")
        assert [p.step for p in points] == [1, 2]
        assert [p.value for p in points] == pytest.approx(expected)


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
        wait_for(f"http://127.0.0.1:{port}/data/runs", "mean")
        with chromium() as window:
            for page, wanted in {
                "timeseries": ["accuracy/test", "norm2cards", "configured/mean"],
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
