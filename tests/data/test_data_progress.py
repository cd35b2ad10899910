"""Decoding a folder tells how far it is: as a bar in a terminal, in lines elsewhere."""

import io
import logging
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from etude.base import progress
from etude.cli import bar
from etude.data.sources.decode import Form
from etude.data.sources.decode_many import decode


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for path in paths:
        Image.new("RGB", (9, 9)).save(path)
    return [str(path) for path in paths]


def terminal(monkeypatch: pytest.MonkeyPatch, *, is_one: bool) -> io.StringIO:
    screen = io.StringIO()
    monkeypatch.setattr(bar, "errors", Console(file=screen, force_terminal=is_one, width=70))
    monkeypatch.setattr(bar, "_FIRST", 0.0)
    monkeypatch.setattr(bar, "_EVERY", 0.0)
    monkeypatch.setattr(progress, "SECONDS", 0.0)
    return screen


def test_in_a_terminal_it_is_a_bar_that_is_gone_at_the_end(
    images: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    screen = terminal(monkeypatch, is_one=True)
    with caplog.at_level(logging.INFO, "etude"), bar.bars():
        decode(images, Form(8, "bilinear"))
    drawn = screen.getvalue()
    assert "decoding images" in drawn
    assert "5/5" in drawn
    assert drawn.endswith(("\x1b[2K", "\x1b[?25h\r\x1b[1A\x1b[2K"))  # the line is cleared
    assert not caplog.messages


def test_elsewhere_it_is_lines(
    images: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    screen = terminal(monkeypatch, is_one=False)
    monkeypatch.setattr(logging.getLogger("etude"), "propagate", True)
    with caplog.at_level(logging.INFO, "etude"), bar.bars():
        decode(images, Form(8, "bilinear"))
    assert screen.getvalue() == ""
    assert caplog.messages[-1] == "decoding images: 5 of 5"


def count_three_and_stop() -> None:
    with bar.bars(), progress.progress("counting", 9) as tell:
        tell(3)
        raise KeyboardInterrupt


def test_a_bar_that_is_cut_off_is_cleared_and_what_is_quick_has_none(
    monkeypatch: pytest.MonkeyPatch,
):
    screen = terminal(monkeypatch, is_one=True)
    with pytest.raises(KeyboardInterrupt):
        count_three_and_stop()
    assert "3/9" in screen.getvalue()
    assert "\x1b[?25h" in screen.getvalue()  # the cursor is back
    monkeypatch.setattr(bar, "_FIRST", 60.0)
    length = len(screen.getvalue())
    with bar.bars(), progress.progress("counting", 9) as tell:
        tell(9)
    assert len(screen.getvalue()) == length
