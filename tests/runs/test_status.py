"""Where runs stand, told by their folders alone."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from run_folders import make

from etude.cli.status import main
from etude.runs.claim import claimed
from etude.runs.names import METRICS
from etude.runs.records import write_json
from etude.runs.state import RunState
from etude.runs.status import current_summary, finished, listed, note, seconds_left, status

Output = pytest.CaptureFixture[str]


@pytest.fixture
def runs(workplace: Path) -> Path:
    """A study of which one run is done, one saved, one was killed and one is to come."""
    folder = workplace / "outputs" / "depth"
    make(folder / "a", "finished", epochs=10, final={"test_accuracy": 0.75})
    make(folder / "b", "preempted", epochs=4)
    make(folder / "c", "running", epochs=2)
    note((folder / name, f"arm {name}", 10) for name in "abcd")
    return folder


def test_the_command_lists_done_half_done_and_missing_runs(runs: Path, capsys: Output):
    assert main([str(runs)]) == 0
    text = capsys.readouterr().out
    assert [" ".join(line.split()) for line in text.splitlines()[3:7]] == [
        "arm a finished 10/10 0.7500 –",
        "arm b preempted 4/10 0.3000 12 s",
        "arm c cut off 2/10 0.1000 16 s",
        "arm d not started 0/10 – –",
    ]
    assert "4 runs: 1 finished, 1 preempted, 1 cut off, 1 not started; about 49 s left" in text


def test_without_a_folder_all_runs_are_told_the_newest_first(
    runs: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
):
    """It looks where etude writes: below ETUDE_OUTPUTS, else below outputs."""
    make(runs.parent / "lenet" / "seed=0-12345678", "finished", final={"test_accuracy": 0.5})
    for age, name in enumerate(("lenet/seed=0-12345678", "depth/b", "depth/a", "depth/c")):
        os.utime(runs.parent / name / "summary.json", (2e9 - age, 2e9 - age))
    assert main([]) == 0
    names = [line.split()[:2] for line in capsys.readouterr().out.splitlines()[3:8]]
    assert [" ".join(name) for name in names] == [
        "lenet/seed=0-12345678 finished", "depth: arm", "depth: arm", "depth: arm", "depth: arm"
    ]  # fmt: skip
    assert main(["--json"]) == 0
    found = [run["label"] for run in json.loads(capsys.readouterr().out)]
    assert found == [
        "lenet/seed=0-12345678", "depth: arm b", "depth: arm a", "depth: arm c", "depth: arm d"
    ]  # fmt: skip
    monkeypatch.setenv("ETUDE_OUTPUTS", str(runs.parent / "lenet"))
    assert main([]) == 0
    assert "1 run: 1 finished" in capsys.readouterr().out
    monkeypatch.setenv("ETUDE_OUTPUTS", "elsewhere")
    assert main([]) == 2
    assert capsys.readouterr().err == (
        "etude: there is no folder elsewhere, and so no run; etude makes one\n"
    )


def test_the_command_gives_json_to_scripts(runs: Path, capsys: Output):
    assert main([str(runs), "--json"]) == 0
    found = {run["label"]: run for run in json.loads(capsys.readouterr().out)}
    assert found["arm b"]["state"] == "preempted"
    assert found["arm b"]["seconds_left"] == 12
    assert found["arm d"]["epoch"] == 0


def test_a_run_whose_process_lives_is_running_and_looking_does_not_disturb_it(runs: Path):
    with claimed(runs / "c"):
        assert status(runs / "c").state == "running"
        assert main([str(runs)]) == 0
    assert status(runs / "c").state == "cut off"


def test_a_run_on_another_machine_is_taken_at_its_word(runs: Path):
    environment = json.loads((runs / "c" / "environment.json").read_text())
    write_json(runs / "c" / "environment.json", {**environment, "host": "elsewhere"})
    (runs / "c" / ".lock").touch()
    assert status(runs / "c").state == "running"


def test_runs_at_the_same_time_share_what_is_left(runs: Path):
    found = [status(runs / name, epochs=10) for name in "bc"]
    assert seconds_left(found) == 28
    with claimed(runs / "b"), claimed(runs / "c"):
        for name in "bc":
            summary = json.loads((runs / name / "summary.json").read_text())
            write_json(runs / name / "summary.json", {**summary, "state": "running"})
        found = [status(runs / name, epochs=10) for name in "bc"]
    left = seconds_left(found)
    assert left is not None
    assert 12 <= left <= 14  # the epochs under way are partly done


def test_a_runs_own_folder_may_be_given(runs: Path, capsys: Output):
    assert main([str(runs / "a")]) == 0
    assert "1 run: 1 finished" in capsys.readouterr().out


def test_a_folder_without_runs_is_refused(workplace: Path, capsys: Output):
    assert main([str(workplace)]) == 2
    assert "has no runs" in capsys.readouterr().err


@pytest.mark.parametrize("end", ["finished", "pruned", "preempted", "failed", "running"])
def test_watching_ends_when_all_runs_are_over(
    workplace: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch, end: str
):
    """A run that is `running` to its end was killed: its process let go, and could not say so."""
    run = make(workplace / "outputs" / "depth" / "a", "running", epochs=9)
    claim = claimed(run)
    claim.__enter__()
    looks: list[float] = []

    def pass_time(seconds: float) -> None:
        looks.append(seconds)
        assert len(looks) < 4, "it watches a run that is over"
        if len(looks) == 2:
            summary = json.loads((run / "summary.json").read_text())
            score = {"test_accuracy": 0.5}
            results = {"final": score, "best": score} if end == "finished" else {}
            write_json(run / "summary.json", {**summary, "state": end, **results})
            claim.__exit__(None, None, None)

    monkeypatch.setattr("time.sleep", pass_time)
    assert main([str(run.parent), "--watch"]) == 0
    assert len(looks) == 2
    assert f"1 {'cut off' if end == 'running' else end}" in capsys.readouterr().out


def test_what_is_pruned_is_no_time_left(runs: Path):
    given_up = make(runs / "e", "pruned", epochs=3)
    assert status(given_up).seconds_left == 0
    assert seconds_left([status(given_up)]) == 0


def test_a_run_that_diverged_is_told_from_one_that_failed(runs: Path):
    error = {"error": "Diverged: the loss became nan"}
    assert status(make(runs / "e", "failed", epochs=3, **error)).state is RunState.DIVERGED
    other = {"error": "OutOfMemoryError: too large"}
    assert status(make(runs / "f", "failed", **other)).state is RunState.FAILED


def test_the_summary_has_the_state_that_holds_now(runs: Path):
    assert {name: (current_summary(runs / name) or {}).get("state") for name in "abcd"} == {
        "a": "finished", "b": "preempted", "c": "cut off", "d": None,
    }  # fmt: skip
    assert json.loads((runs / "c" / "summary.json").read_text())["state"] == "running"


def test_a_run_that_is_finished_need_not_be_trained(runs: Path):
    assert [name for name in "abcd" if finished(runs / name)] == ["a"]


def test_a_run_of_a_later_version_is_listed(runs: Path):
    make(runs / "e", "hibernating", epochs=1)
    assert [run.state for run in listed(runs)][-1] == "failed"


def test_every_state_is_clear_about_what_comes_next():
    assert [state for state in RunState if state.has_result] == ["finished"]
    assert [state for state in RunState if not state.over] == ["running", "not started"]
    assert [state for state in RunState if not state.left] == ["finished", "pruned"]
    assert [state for state in RunState if state.went_wrong] == ["diverged", "failed"]


def test_the_command_imports_nothing_heavy(runs: Path):
    code = (
        "import sys; from etude.cli.status import main; main(sys.argv[1:]); "
        "sys.exit(bool({'torch', 'hydra', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(runs)], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_file_from_later_makes_no_run_longer(runs: Path):
    """As one that was written before the clock was set back."""
    folder = runs / "c"
    with claimed(folder):
        asked = status(folder, epochs=10).seconds_left
        later = time.time() + 7200
        os.utime(folder / METRICS, (later, later))
        found = status(folder, epochs=10).seconds_left
    assert found == pytest.approx(asked, abs=2.1)
