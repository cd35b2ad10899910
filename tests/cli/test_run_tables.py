"""Where runs stand, in a terminal of 80 columns, and what a sweep says of those that diverged."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import SMALL

from etude.base.text import fold
from etude.cli.run_tables import show_runs
from etude.cli.status import main as etude_status
from etude.runs.state import RunState
from etude.runs.status import RunStatus

Etude = Callable[..., int]
Output = pytest.CaptureFixture[str]
LONG = "optimizer=sgd_scheduler=constant_limit_train=80_lr=0.0512345_epochs=1_seed=0-6ef53d4f"


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def runs(*names: str, label: str = "") -> list[RunStatus]:
    return [
        RunStatus(Path("outputs/x", name), label and f"{label} {n}", RunState.NOT_STARTED, 0, 30,
                  0.9861, None, None, "")
        for n, name in enumerate(names)
    ]  # fmt: skip


@pytest.mark.parametrize("width", range(1, 90))
def test_a_line_ends_in_no_number_and_in_no_hash(width: int):
    folded = fold(LONG, width)
    assert folded.replace("\n", "") == LONG
    assert re.findall(r"[\d.]+|-\w{8}$", folded) == re.findall(r"[\d.]+|-\w{8}$", LONG)
    assert max(map(len, folded.splitlines())) <= max(width, len("scheduler=constant_"))


def test_the_names_of_several_runs_go_on_in_the_next_line(capsys: Output):
    show_runs(runs(LONG, LONG.replace("seed=0", "seed=1")), [5400.0, 5400.0])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("not started   0/30    0.9861" in line for line in lines) == 2
    assert sum("seed=0" in line for line in lines) == 1
    assert sum("-6ef53d4f" in line for line in lines) == 2


def test_the_folder_of_a_run_by_itself_stands_below_its_table_in_one_piece(capsys: Output):
    show_runs(runs(LONG), [None])
    *above, folder = capsys.readouterr().out.splitlines()
    assert folder == f"folder  outputs/x/{LONG}"
    assert max(map(len, above)) < 50
    assert "1 run: 1 not started" in above


def test_a_run_that_diverged_is_counted_apart_from_one_that_failed_and_called_so_everywhere(
    etude: Etude, workplace: Path, capsys: Output
):
    """A network with a mistake in it fails; a rate of 1e30 is a result."""
    (workplace / "mynets").mkdir()
    (workplace / "mynets" / "__init__.py").write_text("")
    (workplace / "mynets" / "net.py").write_text(
        "from etude.models.lenet import LeNet5\n\n"
        "class Net(LeNet5):\n"
        "    def forward(self, images):\n"
        "        if self.training:\n            raise ValueError('no such thing')\n"
        "        return super().forward(images)\n"
    )
    words = ["optimizer=sgd", "scheduler=constant", "record.tensorboard=false", *SMALL]
    own = ["packages=[mynets]", "model._target_=etude.models.lenet.LeNet5,mynets.net.Net"]
    rates = "optimizer.lr=1e30"
    assert etude("-m", *words, *own, rates) == 1
    told = capsys.readouterr()
    assert "1 of 2 runs diverged: that is their result" in told.err
    assert "1 of 2 runs did not finish; the same command goes on" in told.err
    assert "2 jobs: 1 diverged, 1 failed" in told.out
    assert "1 diverged" in told.out.partition("2 jobs")[2]  # the table of arms
    (folder,) = workplace.glob("outputs/*")
    assert etude_status([str(folder)]) == 0
    assert "2 runs: 1 diverged, 1 failed" in capsys.readouterr().out
