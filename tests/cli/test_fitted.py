"""Tables of commands in terminals from 36 columns on: nothing is cut, and rows are told apart."""

import re
from collections.abc import Sequence

import pytest
from rich.console import Console, RenderableType

from etude.cli.fitted import fitted

WORDS = "optimizer=sgd_keras_scheduler=constant_lr=0.0512345_epochs=1"
NAMES = [f"lenet5_digits/{WORDS}_seed={seed}-6ef53d4{seed}" for seed in range(3)]
COMMAND = "etude -m --config-dir=own 'optimizer.lr=0.1,0.01' 'packages=[mynets]' seed=0,1"


def drawn(table: RenderableType, width: int) -> list[str]:
    screen = Console(width=width, color_system=None, soft_wrap=True)
    with screen.capture() as capture:
        screen.print(table)
    return [line.rstrip() for line in capture.get().splitlines() if line.strip()]


def runs(width: int, names: Sequence[str] = NAMES) -> list[str]:
    rows = [[name, "finished", f"0.98{n}1", "1234.5"] for n, name in enumerate(names)]
    heading = ["below outputs", "state", "final.\ntest_accuracy", "seconds"]
    return drawn(fitted(heading, rows, width, left={"state"}), width)


@pytest.mark.parametrize("width", [36, 40, 50, 60, 70, 80, 100, 160])
def test_nothing_is_cut_whatever_the_width(width: int):
    lines = runs(width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for n in range(3):
        assert re.search(rf"  0\.98{n}1 +1234\.5$", text, re.MULTILINE)
        assert len(re.findall(rf"-6ef53d4{n}\b", text)) == 1
        assert len(re.findall(rf"seed={n}\b", text)) == 1
    assert "…" not in text
    assert text.count("0.0512345") == 3
    assert "test_accuracy" in text


def test_a_long_heading_gives_way_as_names_do():
    lines = drawn(
        fitted([f"below {NAMES[0]}", "state", "seconds"], [["x", "finished", "1.5"]], 50), 50
    )
    assert max(map(len, lines)) <= 50
    assert any(re.search(r"finished +1\.5$", line) for line in lines)


def test_names_stand_beside_the_numbers_where_there_is_room_and_else_above():
    beside, above = runs(160), runs(48)
    assert any(NAMES[0] in line and "finished" in line for line in beside)
    assert not any("seed" in line and "finished" in line for line in above)
    assert next(line for line in above if "finished" in line).startswith("  finished")
    numbers = [line.index("0.98") for line in above if "0.98" in line]
    assert len(set(numbers)) == 1  # below each other


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_long_command_stands_in_lines_of_its_own(width: int):
    rows = [["3", "waiting", "../elsewhere", COMMAND], ["4", "waiting", ".", "etude"]]
    heading = ("number", "state", "in", "command")
    lines = drawn(fitted(heading, rows, width, long=3, left={"number", "state", "in"}), width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for word in COMMAND.split():
        assert word in text


def test_what_looks_like_markup_is_shown_as_it_is():
    assert any("[red]x" in line for line in runs(160, ["[red]x", "y"]))
    assert any("[red]x" in line for line in runs(30, ["[red]x", "y" * 20]))
