"""The second process that draws a report's PNG files: what it draws, and how it ends."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from fake_runs import Make, maker

from etude.commands.report import main
from etude.launch.machine import cores
from etude.report.charts import Heat
from etude.report.painter import Painter

CHART = Heat("heat", "Title", "across", "down", ["a", "b"], ["c"], [["1", "2"]], [[0.0, None]])
apart = pytest.mark.skipif(cores() < 2, reason="needs a second core")


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return maker(tmp_path)


def paint(folder: Path, painter: Painter) -> bytes:
    folder.mkdir()
    painter.begin([[CHART]], folder)
    painter.finish()
    return (folder / "heat.png").read_bytes()


def test_a_second_process_draws_what_the_first_would_time_after_time(tmp_path: Path):
    with Painter(apart=False) as here, Painter(apart=True) as there:
        expected = paint(tmp_path / "here", here)
        assert paint(tmp_path / "first", there) == expected
        assert paint(tmp_path / "second", there) == expected


@apart
def test_the_command_itself_does_not_load_matplotlib(make: Make, tmp_path: Path):
    make("0.1", 0, 0.9)
    code = "import sys; from etude.commands.report import main; code = main(sys.argv[1:]); "
    code += "sys.exit(code or 'matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert (tmp_path / "report" / "arms.png").exists()


@apart
def test_the_files_are_there_even_if_the_second_process_was_killed(tmp_path: Path):
    with Painter(apart=True) as painter:
        assert painter._process
        painter._process.kill()
        painter._process.wait()
        assert paint(tmp_path / "a", painter)


def test_a_drawing_that_cannot_be_written_is_reported(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    make("0.1", 0, 0.9)
    (tmp_path / "report" / "arms.png").mkdir(parents=True)
    assert main([str(tmp_path)]) == 1
    errors = capsys.readouterr().err
    assert "arms.png'; --output names a folder that can be written to" in errors
    assert errors.count("\n") == 1


@apart
def test_an_interruption_leaves_no_process_behind(tmp_path: Path):
    painter = Painter(apart=True)
    with suppress(KeyboardInterrupt), painter:
        painter.begin([[CHART]], tmp_path)
        raise KeyboardInterrupt
    assert painter._process
    assert painter._process.returncode is not None  # ended, and waited for
