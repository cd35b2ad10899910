"""A search whose process is killed, and given again, through the real commands."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import summary_of

pytest.importorskip("optuna", reason="etude[search] is not installed")

from optuna.trial import FrozenTrial

from etude.base.errors import UserError
from etude.runs.claim import claimed
from etude.search.outcome import FOLDER
from etude.search.storage import open_study

APP = """
import time
from pathlib import Path
import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

@hydra.main(version_base="1.3", config_path=None, config_name="config")
def app(cfg):
    folder = Path(HydraConfig.get().runtime.output_dir)
    with (folder / "begun").open("a") as file:
        file.write(f"{cfg.x!r} {cfg.y}\\n")
    time.sleep(0.15)
    if cfg.y == "bad":
        raise ValueError("bad indeed")
    return (cfg.x - 0.3) ** 2

if __name__ == "__main__":
    from hydra.core.config_store import ConfigStore
    ConfigStore.instance().store("config", {"x": 0.0, "y": "good"})
    app()
"""


def start(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """A command with its own group, and the handler of Ctrl-C that a terminal would give it."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ETUDE_OUTPUTS": "outputs"}
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )


def cut(command: list[str], folder: Path, *, when: Callable[[], bool], by: signal.Signals) -> int:
    """End a command by a signal once something is so; give its exit code."""
    process = start(command, folder)
    deadline = time.monotonic() + 120
    while not when():
        assert process.poll() is None, (process.stdout or sys.stdin).read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(by)
    process.communicate(timeout=60)
    return process.returncode


def finish(command: list[str], folder: Path) -> str:
    process = start(command, folder)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output.decode()
    return output.decode()


def trials_in(folder: Path, direction: str) -> list[FrozenTrial]:
    return open_study(folder, storage="journal", directions=[direction]).trials


def test_any_applications_search_is_killed_twice_and_has_exactly_the_trials_asked_for(
    tmp_path: Path,
):
    (tmp_path / "app.py").write_text(APP)
    command = [
        sys.executable, "app.py", "-m", "hydra/sweeper=search", "hydra.sweeper.n_trials=12",
        "hydra.sweeper.direction=minimize", "hydra.sweep.dir=sweep", "hydra.sweeper.n_jobs=2",
        "x=interval(0,1)", "y=good,bad",
    ]  # fmt: skip

    def begun(number: int) -> Callable[[], bool]:
        return (tmp_path / "sweep" / str(number) / "begun").exists

    assert cut(command, tmp_path, when=begun(3), by=signal.SIGKILL) == -signal.SIGKILL
    assert cut(command, tmp_path, when=begun(8), by=signal.SIGINT) != 0
    assert "12 trials" in finish(command, tmp_path)
    trials = trials_in(tmp_path / "sweep", "minimize")
    assert [trial.number for trial in trials] == list(range(12))
    assert all(trial.state.is_finished() for trial in trials)
    lines = [(tmp_path / "sweep" / str(n) / "begun").read_text().splitlines() for n in range(12)]
    assert all(len(set(own)) == 1 for own in lines)  # begun again, if ever, as the same trial
    assert len({own[0] for own in lines}) == 12  # no suggestion was repeated
    assert sum(len(own) for own in lines) <= 16  # only batches that were under way were done again
    for trial, own in zip(trials, lines, strict=True):
        assert f"{trial.params['x']!r} {trial.params['y']}" == own[0]
        assert trial.state.name == ("FAIL" if "bad" in own[0] else "COMPLETE")
    assert not list((tmp_path / "sweep").glob("*.lock"))


def test_a_search_beside_another_is_refused_in_one_line(tmp_path: Path):
    (tmp_path / "app.py").write_text(APP)
    command = [
        sys.executable, "app.py", "-m", "hydra/sweeper=search", "hydra.sweeper.n_trials=1",
        "hydra.sweeper.direction=minimize", "hydra.sweep.dir=sweep", "x=interval(0,1)",
    ]  # fmt: skip
    with claimed(tmp_path / "sweep"):
        process = start(command, tmp_path)
        output, _ = process.communicate(timeout=100)
    assert process.returncode == 1
    assert "another process is at work in" in output.decode()
    assert "Traceback" not in output.decode()
    finish(command, tmp_path)


@pytest.mark.parametrize(
    ("storage", "file"), [("journal", "search.journal"), ("sqlite", "search.db")]
)
@pytest.mark.parametrize("content", [b"hello\n", bytes(range(256)) * 20, b"[]\n"])
def test_a_search_that_cannot_be_read_says_so(
    tmp_path: Path, storage: str, file: str, content: bytes
):
    (tmp_path / file).write_bytes(content)
    with pytest.raises(UserError, match=rf"{file} cannot be read as a search .*; move it away"):
        open_study(tmp_path, storage=storage, directions=["minimize"])


QUICK = [
    "dataset.limit_train=1200", "dataset.limit_test=60", "train.epochs=4", "device=cpu",
    "precision=float32", "record.curves=false", "record.tensorboard=false",
    "hydra.sweeper.n_trials=8", "hydra.sweeper.startup_trials=2",
]  # fmt: skip


def outcomes(folder: Path) -> list[tuple[Any, ...]]:
    return [
        (t.params, t.state.name, t.value, t.intermediate_values, t.user_attrs)
        for t in trials_in(folder, "maximize")
    ]


@pytest.mark.slow
def test_a_study_is_killed_and_interrupted_and_equals_one_that_was_left_alone(tmp_path: Path):
    command = [sys.executable, "-m", "etude", "study=lenet_search", *QUICK]
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    text = finish(command, whole)
    assert "8 trials" in text
    assert "pruned" in text

    def at_work(number: int) -> Callable[[], bool]:
        def so() -> bool:
            begun = list(broken.glob("outputs/lenet_search/*/metrics.jsonl"))
            return len(begun) > number and any(
                state_of(path) == "running" and path.stat().st_size for path in begun
            )

        return so

    def begun() -> bool:
        """Before the end of its first epoch, as it may be given up after its second."""
        places = [path.parent for path in broken.glob("outputs/lenet_search/*/summary.json")]
        return len(places) > 4 and any(state_of(place / "any") == "running" for place in places)

    assert cut(command, broken, when=at_work(1), by=signal.SIGKILL) == -signal.SIGKILL
    assert cut(command, broken, when=begun, by=signal.SIGINT) == 130
    assert "half done" in finish(command, broken)
    ours, theirs = (outcomes(folder / "outputs" / "lenet_search") for folder in (broken, whole))
    assert ours == theirs
    assert len({attrs[FOLDER] for *_, attrs in ours}) == 8
    assert len(list(broken.glob("outputs/lenet_search/*/summary.json"))) == 8
    states = [summary_of(broken / attrs[FOLDER])["state"] for *_, attrs in ours]
    assert sorted(set(states)) == ["finished", "pruned"]
    assert "8 of 8 trials done" in finish(command, broken)


def state_of(metrics: Path) -> str:
    try:
        return json.loads((metrics.parent / "summary.json").read_text())["state"]
    except OSError:
        return "none"


@pytest.mark.parametrize("launcher", ["basic", "local"])
def test_a_trial_in_the_searchs_own_folder_is_refused_and_waits_for_nobody(
    workplace: Path, launcher: str
):
    words = ["-m", "hydra/sweeper=search", "hydra.sweeper.n_trials=1", "hydra.sweep.subdir=.",
             "optimizer.lr=choice(0.01)", f"hydra/launcher={launcher}"]  # fmt: skip
    command = [sys.executable, "-m", "etude", *words, "dataset.limit_train=200", "train.epochs=1"]
    process = start(command, workplace)
    try:
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 2
    assert "hydra.sweep.subdir=. puts trial 0 into" in output.decode()
