"""What people see of jobs: in 80 columns, and in the words that every command has for a state."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from etude.base.errors import PREEMPTED
from etude.launch import table
from etude.launch.job import Entry, Job, labels
from etude.launch.table import LiveTable, show_all
from etude.launch.task import About, Progress
from etude.runs.state import RunState

ARMS = [
    f"optimizer={name} optimizer.lr={lr} train.batch_size=128 seed={seed}"
    for name in ("adam", "rmsprop_tensorflow")
    for lr in ("0.00123456", "1e-05")
    for seed in (10, 11)
]


def entries(names: list[str], tmp_path: Path, **progress: object) -> list[Entry]:
    """Jobs that are running, half way."""
    shown = Progress(done=0.5, text="epoch 15/30", score="accuracy 0.9861", seconds_left=5400)
    jobs = [
        Job(number=n, label=name, folder=tmp_path / str(n), about=About(), call=bytes,
            progress=lambda: Progress(**progress))  # pyright: ignore[reportArgumentType]
        for n, name in enumerate(names)
    ]  # fmt: skip
    return [
        Entry(job, state=RunState.RUNNING, tries=1, seconds=3600, progress=shown) for job in jobs
    ]


def printed(found: list[Entry], *, width: int = 80, height: int = 100, live: bool) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, height=height, soft_wrap=True, highlight=False)
    if live:
        console.print(LiveTable(console, places=2)._draw(found, stopping=False))
    else:
        show_all(console, found)
    return file.getvalue()


@pytest.mark.parametrize("live", [True, False])
def test_rows_of_80_columns_are_told_apart_and_no_number_is_cut(tmp_path: Path, *, live: bool):
    names = labels([arm.split() for arm in ARMS])
    text = printed(entries(names, tmp_path), live=live)
    rows = text.splitlines()
    assert max(map(len, rows)) <= 80
    assert "…" not in text
    for name in names:  # each of its words is somewhere in one piece
        assert all(re.search(rf" {re.escape(word)}(\s|$)", text) for word in name.split()), name
    assert text.count("15/30  0.9861") == len(names)
    assert re.search(r"state +epoch +accuracy +time", rows[1])


def test_when_nothing_began_there_is_no_table_of_it(tmp_path: Path):
    found = entries(["one", "two"], tmp_path)
    for entry in found:
        entry.state, entry.tries = RunState.NOT_STARTED, 0
    text = printed(found, live=False)
    assert text == "stopped before anything began; 2 jobs: 2 not started\n"
    found[0].state = RunState.FINISHED
    found[0].tries = 1
    assert "not started" in printed(found, live=False).splitlines()[4]


def test_in_50_columns_names_stand_above_what_would_be_cut(tmp_path: Path):
    names = labels([arm.split() for arm in ARMS])
    text = printed(entries(names, tmp_path), width=50, live=False)
    assert max(len(row.rstrip()) for row in text.splitlines()) <= 50
    assert "…" not in text
    assert text.count("15/30  0.9861") == len(names)


def test_a_live_table_of_long_names_is_no_higher_than_the_terminal(tmp_path: Path):
    found = entries(labels([arm.split() for arm in ARMS]), tmp_path)
    text = printed(found, height=14, live=True)
    assert len(text.rstrip("\n").splitlines()) <= 14
    assert "8 jobs: 8 running" in text


def test_jobs_are_called_by_what_differs_and_a_key_by_its_end_where_that_is_clear():
    rates = [["optimizer.lr=0.1", "seed=0", "l2=0"], ["optimizer.lr=1", "seed=0", "l2=0"]]
    assert labels(rates) == ["lr=0.1", "lr=1"]
    both = [["a.lr=1", "b.lr=1"], ["a.lr=2", "b.lr=2"]]
    assert labels(both) == ["a.lr=1 b.lr=1", "a.lr=2 b.lr=2"]


@pytest.mark.parametrize(
    ("status", "own", "state"),
    [
        (0, RunState.FINISHED, RunState.FINISHED),
        (0, RunState.PRUNED, RunState.PRUNED),
        (1, RunState.DIVERGED, RunState.DIVERGED),
        (1, RunState.FAILED, RunState.FAILED),
        (1, None, RunState.FAILED),
        (-9, RunState.CUT_OFF, RunState.CUT_OFF),
        (-9, None, RunState.FAILED),
        (PREEMPTED, RunState.PREEMPTED, RunState.PREEMPTED),
    ],
)
def test_a_job_that_is_over_is_called_what_its_folder_calls_it(
    tmp_path: Path, status: int, own: RunState | None, state: RunState
):
    (entry,) = entries(["seed=0"], tmp_path, state=own)
    entry.end(status, stopping=False)
    assert entry.state is state
    assert f"1 job: 1 {state}\n" in printed([entry], live=False)


def test_what_may_come_out_otherwise_is_tried_again_and_a_divergence_is_not(tmp_path: Path):
    found = entries(["a"] * len(RunState), tmp_path)
    for entry, state in zip(found, RunState, strict=True):
        entry.state = state
    assert [entry.state for entry in found if entry.lost] == ["cut off", "failed"]
    assert [entry.state for entry in found if entry.done] == ["finished", "pruned"]


def test_every_state_has_its_place_in_the_table():
    assert set(table._STYLES) == set(table._ORDER) == set(RunState)


def test_a_job_that_was_done_before_is_finished_and_said_to_be_so(tmp_path: Path):
    (entry,) = entries(["seed=0"], tmp_path)
    entry.state, entry.tries = RunState.FINISHED, 0
    assert "1 job: 1 finished before\n" in printed([entry], live=False)
