"""Terminals of 50 columns and more: nothing is cut, and nothing is broken within a word."""

import io
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from fake_runs import Make, maker
from rich.console import Console

from etude.base.text import wrap
from etude.cli import terminal
from etude.cli.compare import main as etude_compare
from etude.cli.report import main as etude_report
from etude.report import narrow
from etude.report.narrow import Shown, in_tables

Output = pytest.CaptureFixture[str]
ARMS = [f"{head} batch norm {init}" for head in ("with", "without any")
        for init in ("glorot_uniform", "he_normal_relu")]  # fmt: skip
MEANS = [f"0.{n}{n}19 ± 0.12{n}7" for n in range(1, 5)]
SPANS = [f"−3.{n}{n}93 to +3.014{n}" for n in range(1, 5)]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return maker(tmp_path)


def drawn(width: int, names: Sequence[str] = ARMS) -> str:
    screen = Console(file=io.StringIO(), width=width, color_system=None, soft_wrap=True)
    others = [Shown("final test accuracy", MEANS), Shown("its 95 % interval", SPANS, wraps=True)]
    said = ["undecided: about 12 more seeds would tell", "", "baseline", "did not learn"]
    others += [Shown("best test accuracy", MEANS), Shown("remarks", said, left=True, wraps=True)]
    with screen.capture() as capture:
        for table in in_tables(Shown("arm", names, left=True), others, width):
            screen.print(table)
    return capture.get()


@pytest.mark.parametrize("width", [40, 50, 66, 80, 100, 160])
def test_columns_that_do_not_fit_stand_in_a_further_table(width: int):
    text = drawn(width)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    for mean in MEANS:
        assert text.count(mean) == 2
    for span in SPANS:
        low, _, high = span.partition(" to ")
        assert text.count(f"{low} to") == text.count(high) == 1
    words = set(re.findall(r"[\w:]+", "undecided: about more seeds would tell did not learn"))
    assert words <= set(re.findall(r"[\w:]+", text))
    tables = text.count("──\n") + text.count("── \n")
    for last in ("glorot_uniform", "he_normal_relu"):
        assert text.count(last) == 2 * tables


def test_a_wide_terminal_has_one_table():
    assert drawn(160).count("arm") == 1
    assert drawn(50).count("arm") > 1


def test_a_name_of_several_lines_is_set_in_so_that_rows_are_told_apart():
    lines = [line for line in drawn(50).splitlines() if "glorot_uniform" in line]
    assert any(line.startswith("   ") for line in lines)
    assert any(line.startswith(" with") for line in drawn(50).splitlines())


def test_a_sentence_is_broken_between_words_and_a_path_stays_whole():
    path = f"outputs/{'x' * 60}/report.html"
    told = wrap(f"on average 73.2 % of it (± 12.8 points), as {path} says", 20, "  ")
    assert path in told.split()
    assert "73.2 %" in told
    assert "± 12.8" in told
    assert all(len(line) <= 20 for line in told.splitlines() if path not in line)


@pytest.mark.parametrize("width", [50, 80])
def test_a_report_breaks_no_number(
    make: Make, capsys: Output, monkeypatch: pytest.MonkeyPatch, width: int
):
    folders = {
        make(arm, seed, 0.9 - float(arm)).parent for arm in ("0.1", "0.25") for seed in (0, 1)
    }
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(terminal.console, "_width", width)
    monkeypatch.setattr(narrow, "in_terminal", lambda _: True)
    assert etude_report([*map(str, folders), "--format", "none"]) == 0
    text = capsys.readouterr().out
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert text.count("0.8000 ± 0.0000") == 2
    assert "…" not in text


@pytest.mark.parametrize("width", [50, 80])
def test_compared_runs_with_long_names_are_numbered(
    make: Make, capsys: Output, monkeypatch: pytest.MonkeyPatch, width: int
):
    runs = [make("0.1", seed, 0.9) for seed in (0, 1, 2)]
    runs = [
        run.rename(run.parent / f"scheduler=constant_limit_train=80_{run.name}") for run in runs
    ]
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(terminal.console, "_width", width)
    monkeypatch.setattr(narrow, "in_terminal", lambda _: True)
    assert etude_compare(list(map(str, runs))) == 0
    text = capsys.readouterr().out
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert re.search(r"results +1 +2 +3", text) or re.search(r"results +3", text)
    for run in runs:
        assert run.name.rpartition("_")[2] in text
