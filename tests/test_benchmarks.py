import json
import runpy
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks import (
    altered,
    check_cuda,
    check_speed,
    check_steps,
    contest,
    flat,
    growth,
    kernels,
    long_stream,
    machine,
    memory,
    neighbour,
    planning,
    startup,
    streaming,
    tables,
)
from benchmarks.contest import compare
from benchmarks.environments import FOLDER, PACKAGES
from benchmarks.network import compose
from benchmarks.rows import ROOT, ROWS, form
from benchmarks.statistics_of import differences, ratios
from etude.base.errors import UserError

AUTO = {"seconds": [1.0], "cpu_seconds": [1.0], "auto": True}


def test_a_result_says_with_which_command_and_not_where_on_a_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr("sys.argv", ["x", "--root", str(tmp_path / "photos"), "--workers", "2"])
    command = machine.facts("cpu")["command"]
    assert command.endswith(" --root …/photos --workers 2")
    assert str(tmp_path) not in command


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_every_row_composes_with_a_turn_for_an_epoch(row):
    config = compose(row, device="cpu", precision="float32")
    assert config.dataset.limit_train == row.steps * row.batch_size
    assert config.train.batch_size == row.batch_size


def test_the_smallest_form_of_a_row_has_no_goals():
    rows = [form("lenet", device, small=True) for device in ("cpu", "cuda")]
    assert [row.goals or row.goals_graph for row in rows] == [{}, {}]


def test_a_machine_that_slows_down_leaves_a_ratio_as_it_is():
    slowing = [1.0, 1.5, 2.0]
    assert ratios([2 * turn for turn in slowing], slowing) == (2.0, 2.0, 2.0)


def test_a_dash_stands_where_the_clock_saw_nothing_to_divide_by():
    seconds = {"original": [1.0, 1.0], "kept": [1.0, 1.0], "dataloader": [2.0, 2.0]}
    used = {"original": [0.0, 0.01], "dataloader": [0.01, 0.01]}
    told = {"images": 4, "seconds": seconds, "cpu_seconds": used}
    assert streaming.show({"resnet": told}, workers=2).endswith(" – |\n")


def test_a_difference_is_given_with_its_quartiles():
    assert differences([3.0, 5.0, 9.0, 9.0, 9.0], [1.0] * 5) == (8.0, 4.0, 8.0)


def test_goals_are_held_against_like_settings_and_threads():
    names = [
        "bare float32",
        "etude float32",
        "etude bfloat16",
        "dataloader",
        "dataloader with 2 workers",
        "keras bfloat16",
    ]
    turns = {"seconds": [1.0], "cpu_seconds": [1.0]}
    told = compare(ROWS["lenet"], dict.fromkeys(names, turns) | {"etude bfloat16": AUTO})
    goals = {(each["ours"], each["theirs"]): each["goal"] for each in told}
    assert goals == {
        ("etude float32", "bare float32"): 0.97,
        ("etude float32", "dataloader"): None,
        ("etude float32", "dataloader with 2 workers"): None,
        ("etude float32", "keras bfloat16"): None,
        ("etude bfloat16", "etude float32"): 1.2,
        ("etude bfloat16", "dataloader"): 2.2,
        ("etude bfloat16", "dataloader with 2 workers"): None,
        ("etude bfloat16", "keras bfloat16"): 1.25,
    }


def test_a_captured_step_is_held_against_the_eager_one():
    names = ["bare float32 graph", "etude float32", "etude float32 graph", "etude bfloat16 graph"]
    turns = {"seconds": [1.0], "cpu_seconds": [1.0]}
    told = compare(ROWS["lenet"].on_cuda(), dict.fromkeys(names, turns))
    goals = {(each["ours"], each["theirs"]): each["goal"] for each in told}
    assert goals == {
        ("etude float32 graph", "bare float32 graph"): None,
        ("etude float32 graph", "etude float32"): 2.5,
        ("etude bfloat16 graph", "etude float32 graph"): None,
    }


def test_what_is_captured_is_compared_with_eager_steps():
    told = check_steps.check("lenet5_digits", "cpu")
    assert told["same"]
    assert told["finite"]


def test_a_step_that_fails_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(check_steps, "made", _fails)
    assert check_steps.check("lenet5_digits", "cpu")["problem"] == "UserError: no room"


def _fails(*_: object) -> None:
    raise UserError("no room")


def test_everybody_takes_turns():
    told = check_speed.measure("lenet", "cpu", 300, 0.01, 0)
    assert min(told[name] for name in ("auto", "eager", "bare", "dataloader")) > 0
    assert not told["compiled"]


def test_a_step_is_looked_at_kernel_by_kernel():
    told = kernels.compare("lenet", "cpu", 300, steps=2)
    assert min(told[way]["microseconds"] for way in ("etude", "bare")) > 0
    assert told["etude"]["calls"]["aten::convolution"] == told["bare"]["calls"]["aten::convolution"]
    assert "| etude |" in kernels.show(told)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["tests", "steps", "resume", "speed", "many"])
def test_each_part_of_the_check_runs_in_its_smallest_form(part: str):
    told = check_cuda.PARTS[part]("cpu")
    assert told["ok"]
    assert check_cuda.show({part: told | {"took": 1.0}})


def test_each_part_of_the_check_tells_in_words_what_came_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    steps = {"ok": True, "experiments": 1, "wrong": [], "slowest": [(20.4968, "resnet_digits")]}
    monkeypatch.setitem(check_cuda.PARTS, "steps", lambda _: steps)
    check_cuda.carry_out("steps", "cpu")
    told = "steps: 1 experiment, 0 differ, 0 s\n  slowest: 20.5 s resnet_digits\n"
    assert capsys.readouterr().out == told
    rates = dict.fromkeys(("auto", "eager", "bare", "dataloader"), 1.0)
    speed = {"ok": True, "rows": [{"row": "lenet", **rates}], "took": 1.0}
    assert "1 network, below" in check_cuda.show({"speed": speed})


OURS = {"bare float32", "bare bfloat16", "etude float32", "etude bfloat16", "dataloader"}
PEERS = {
    "lightning": {"lightning", "lightning with 2 workers"}, "keras": {"keras", "keras bfloat16"},
}  # fmt: skip


def installed() -> set[str]:
    """The peers that somebody has set up here."""
    return {name for name in PACKAGES if (FOLDER / name / "ready").is_file()}


def test_every_contestant_does_its_steps(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(contest, "installed", installed)
    rows = contest.main(["--small", "--rows", "lenet", "--precisions", "float32", "bfloat16"])
    told = rows["lenet"]["contestants"]
    peers = [names for peer, names in PEERS.items() if peer in installed()]
    assert set(told) == OURS.union({"dataloader with 2 workers"}, *peers)
    assert all(each["images_per_second"] > 0 for each in told.values())


@pytest.mark.slow
@pytest.mark.parametrize("row", [name for name in ROWS if name != "lenet"])
def test_every_row_runs(row: str):
    words = ["--small", "--no-peers", "--rows", row, "--precisions", "float32", "bfloat16"]
    assert set(contest.main(words)[row]["contestants"]) == OURS


@pytest.mark.parametrize(
    "part",
    [
        growth,
        long_stream,
        pytest.param(flat, marks=pytest.mark.slow),
        pytest.param(memory, marks=pytest.mark.slow),
        pytest.param(neighbour, marks=pytest.mark.slow),
        pytest.param(startup, marks=pytest.mark.slow),
        pytest.param(planning, marks=pytest.mark.slow),
        pytest.param(streaming, marks=pytest.mark.slow),
    ],
    ids=lambda part: part.__name__,
)
def test_every_other_part_runs(part: Any, capsys: pytest.CaptureFixture[str]):
    before = written()
    part.main(["--small"])
    said = capsys.readouterr().out
    assert said.startswith("### ")
    assert said.endswith(f"\n\n{tables.SMALLEST}\n")
    assert written() == before


def test_a_sweep_ends_where_its_first_job_would_begin():
    assert planning.cpu_seconds("seed=0,1") > 0


def test_a_method_that_a_benchmark_replaces_must_be_there():
    class Other:
        def placed(self) -> str:
            return "placed"

    before = altered.replace(Other, "placed", lambda _: "ended")
    assert (before(Other()), Other().placed()) == ("placed", "ended")
    with pytest.raises(SystemExit, match="Other has no start of its own"):
        altered.replace(Other, "start", print)
    with pytest.raises(SystemExit, match="Other has no __call__ of its own"):
        altered.replace(Other, "__call__", print)


SCRIPTS = [path for path in sorted((ROOT / "benchmarks").rglob("*.py"))
           if '__name__ == "__main__"' in path.read_text(encoding="utf-8")]  # fmt: skip
# What runs in the peers' own environments, and a Hydra app that shows Hydra's own help.
OTHERS = {"keras_fit", "lightning_trainer", "theirs", "hydra_app"}


@pytest.mark.parametrize(
    "script", [each for each in SCRIPTS if each.stem not in OTHERS], ids=lambda path: path.stem
)
def test_help_is_all_that_a_benchmark_does_for_it(
    script: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(script), "--help"])
    monkeypatch.setattr(subprocess, "Popen", _fails)  # what measures or installs starts processes
    before = written()
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    assert not ended.value.code
    assert f"{script.name} [-h]" in capsys.readouterr().out
    assert (written(), [*tmp_path.iterdir()]) == (before, [])


def written() -> dict[Path, int]:
    """When each result was written."""
    return {path: path.stat().st_mtime_ns for path in tables.FOLDER.iterdir()}


def test_a_row_without_its_images_is_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(contest, "told", told)
    words = ["--quick", "--no-peers", "--rows", "lenet", "--precisions", "float32"]
    assert contest.main(words) == {}
    assert "lenet is left out" in capsys.readouterr().out


def told(module: str, *_words: str) -> str:
    """What a script of ours says where there are no images."""
    if module == "pictures":
        raise subprocess.CalledProcessError(1, module)
    return json.dumps({"float32": 1.0})
