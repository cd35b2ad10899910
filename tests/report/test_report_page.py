"""The command, its files, and the page in a real browser."""

import csv
import json
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from browser import chromium, complaints
from fake_runs import Make, maker, unfinished
from PIL import Image

from etude.cli.report import main
from etude.report.write import FORMATS

FILES = {"arms.csv", "runs.csv", "table.md", "table.tex", "report.html", "arms.png", "arms.svg",
         "train_accuracy.png", "train_accuracy.svg", "validation_loss.svg",
         "against_optimizer_lr.png", "confusion.png", "classes.svg"}  # fmt: skip


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return maker(tmp_path)


@pytest.fixture
def study(make: Make, tmp_path: Path) -> Path:
    """Three arms, a failed run among them."""
    for arm, values in {"0.001": [0.9, 0.91], "0.01": [0.95, 0.96], "0.1": [0.1, 0.1]}.items():
        for seed, value in enumerate(values):
            path = make(arm, seed, value, epochs=4)
            content = {"classes": ["cat", "dog"], "counts": [[170, 10], [20, 160]], "epoch": 1}
            (path / "confusion.json").write_text(json.dumps(content))
    make("0.1", 2, None, **unfinished("failed", error="OutOfMemoryError: <b>too large</b>"))
    return tmp_path / "runs"


def test_the_command_writes_every_file(study: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(study)]) == 0
    assert {path.name for path in (study / "report").iterdir()} >= FILES
    output = capsys.readouterr().out
    assert "0.9550 ± 0.0071" in output
    assert re.search(r"1\s+failed", output)


def test_only_the_files_that_are_asked_for_are_written(study: Path):
    assert main([str(study), "--format", "md,csv"]) == 0
    names = {path.name for path in (study / "report").iterdir()}
    assert names == {"arms.csv", "runs.csv", "table.md"}
    assert main([str(study), "--format", "none", "--output", str(study / "other")]) == 0
    assert not (study / "other").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--format", "pdf"], f"pdf is none of {', '.join(FORMATS)}"),
        (["--baseline", "x"], "--baseline x is no arm; there are: lr=0.001; lr=0.01; lr=0.1"),
        (["--baseline", "lr=0.0001"], "is no arm; did you mean 'lr=0.001'? there are: lr=0.001;"),
        (["--where", "optimiser.lr=1"], "did you mean 'optimizer.lr'?"),
        (["--where", "optimizer.lr=7"], "in these runs optimizer.lr is 0.001, 0.01, 0.1"),
        (["--metric", "final.x"], "is in no run's summary"),
        (["--watch", "-1"], "--watch -1 must be"),
        (["--nonsense"], "listed by --help"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    study: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
):
    assert main([str(study), *words]) == 2
    errors = capsys.readouterr().err
    assert said in errors
    assert errors.count("\n") == 1
    assert not (study / "report").exists()


def test_a_folder_that_is_misspelt_brings_the_nearest(
    study: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([str(study.with_name("rnus"))]) == 2
    assert f"did you mean '{study}'?" in capsys.readouterr().err


def test_the_files_are_there_even_if_nobody_reads_the_table(study: Path):
    command = f"{sys.executable} -m etude.cli.report {study} --format md | true"
    subprocess.run(command, shell=True, check=False, stderr=subprocess.DEVNULL)  # noqa: S602
    assert (study / "report" / "table.md").exists()


def test_arms_of_any_name_are_text_on_the_page_and_in_latex(make: Make, tmp_path: Path):
    name = "λ≥1 & <b>50%</b>_é"
    runs = {make(rate, 0, 0.9).name: arm for rate, arm in (("0.1", name), ("0.01", "x"))}
    plan = {"study": "names", "question": "?", "axes": ["a"], "arms": {name: [name], "x": ["x"]},
            "runs": {folder: {"arm": arm, "seed": 0} for folder, arm in runs.items()}}  # fmt: skip
    (tmp_path / "runs" / "study.json").write_text(json.dumps(plan))
    assert main([str(tmp_path / "runs"), "--tensorboard"]) == 0
    report = tmp_path / "runs" / "report"
    assert "λ≥1 &amp; &lt;b&gt;50%&lt;/b&gt;_é" in (report / "report.html").read_text()
    latex = r"$\lambda$$\geq$1 \& $<$b$>$50\%$<$/b$>$\_é"
    assert latex in (report / "table.tex").read_text()
    assert len(list((report / "tensorboard").iterdir())) == 2


def test_a_chart_of_several_lines_names_them_in_its_own_file(study: Path):
    assert main([str(study), "--format", "svg"]) == 0
    text = (study / "report" / "train_loss.svg").read_text()
    assert all(f">{arm}</text>" in text for arm in ("lr=0.001", "lr=0.01", "lr=0.1"))


def test_a_png_file_has_all_panels_of_its_group_and_letters_without_any_font(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("HOME", str(tmp_path))  # no fonts of the user's own
    assert main([str(study), "--format", "png,svg"]) == 0
    with Image.open(study / "report" / "train_accuracy.png") as image:
        pixels = np.asarray(image.convert("L"))
    one = ET.parse(study / "report" / "train_accuracy.svg").getroot()  # noqa: S314
    assert pixels.shape[1] > 1.5 * 2 * float(one.attrib["width"])  # two beside each other
    title = pixels[: int(1.5 * 20)]  # above the charts there are letters and nothing else
    assert (title < 128).sum() > 200


def test_a_chance_far_below_all_arms_does_not_squeeze_them_and_is_told_in_words(study: Path):
    shutil.rmtree(next(study.glob("rate=0.1_seed=0*")))
    shutil.rmtree(next(study.glob("rate=0.1_seed=1*")))
    assert main([str(study), "--format", "svg,html"]) == 0
    text = (study / "report" / "arms.svg").read_text()
    assert "(guessing, 0.5000, is left of it)" in text
    assert 'class="guessing"' not in text
    places = sorted(float(x) for x in re.findall(r'class="seed" cx="([\d.]+)"', text))
    assert places[-1] - places[0] > 200  # of 441: from 0.90 to 0.96, not from 0.50
    assert "always naming the most frequent class" in (study / "report" / "report.html").read_text()


def test_a_chance_among_the_arms_is_a_line(study: Path, make: Make):
    make("1.0", 0, 0.3)  # one seed below guessing, 0.5, and one above
    make("1.0", 1, 0.8)
    assert main([str(study), "--format", "svg"]) == 0
    text = (study / "report" / "arms.svg").read_text()
    assert 'class="guessing"' in text
    assert "is left of it" not in text


def test_an_arm_that_learnt_nothing_is_an_arrow_and_does_not_squeeze_the_others(study: Path):
    assert main([str(study), "--format", "svg,html"]) == 0  # 0.1, twice, beside 0.90 to 0.96
    text = (study / "report" / "arms.svg").read_text()
    places = sorted(float(x) for x in re.findall(r'class="seed" cx="([\d.]+)"', text))
    assert len(places) == 4  # two of each arm that learnt
    assert places[-1] - places[0] > 200  # of 441
    assert ">0.1000</text>" in text
    assert "arrow with a number" in (study / "report" / "report.html").read_text()


def test_a_setting_of_0_is_a_decade_left_of_the_others(make: Make, tmp_path: Path):
    for rate in ("0", "1e-5", "1e-4", "1e-3", "1e-1"):
        make(rate, 0, 0.9)
    assert main([str(tmp_path), "--format", "svg"]) == 0
    text = (tmp_path / "report" / "against_optimizer_lr.svg").read_text()
    places = [float(x) for x in re.findall(r'class="point" cx="([\d.]+)"', text)]
    steps = [right - left for left, right in pairwise(places)]
    assert steps[:3] == pytest.approx([steps[0]] * 3, abs=0.2)
    assert steps[3] == pytest.approx(2 * steps[0], abs=0.2)
    assert re.findall(r'text-anchor="middle">([\d.e−]+)<', text)[:2] == ["0", "1e−05"]


def test_the_interval_of_a_difference_is_given_plain_and_corrected_as_p_is(
    make: Make, tmp_path: Path
):
    for arm, values in {
        "1": [0.9, 0.91, 0.93],
        "2": [0.95, 0.93, 0.96],
        "3": [0.91, 0.9, 0.92],
    }.items():
        for seed, value in enumerate(values):
            make(arm, seed, value)
    assert main([str(tmp_path), "--format", "csv", "--baseline", "lr=1"]) == 0
    with (tmp_path / "report" / "arms.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["p"]]
    for row in rows:
        wide = float(row["difference_high_holm"]) - float(row["difference_low_holm"])
        assert wide >= float(row["difference_high"]) - float(row["difference_low"])
    by_p = sorted(rows, key=lambda row: float(row["p"]))
    assert by_p[0]["difference_low_holm"] != by_p[0]["difference_low"]  # tested at 5 % / 2


def test_epochs_are_counted_in_whole_numbers(make: Make, tmp_path: Path):
    make("0.1", 0, 0.9, epochs=2)
    assert main([str(tmp_path), "--format", "svg"]) == 0
    text = (tmp_path / "report" / "train_loss.svg").read_text()
    below = re.findall(r'class="tick"[^>]*text-anchor="middle">([^<]*)<', text)
    assert below == ["1", "2"]


def test_watching_ends_when_nothing_is_going_on(study: Path):
    assert main([str(study), "--watch", "1", "--format", "html"]) == 0
    assert "http-equiv" not in (study / "report" / "report.html").read_text()


def test_every_run_and_every_hyperparameter_is_in_runs_csv(study: Path):
    assert main([str(study), "--format", "csv"]) == 0
    with (study / "report" / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 7
    assert {"optimizer.lr", "l2", "final.test_accuracy", "error"} <= set(rows[0])
    assert [row["state"] for row in rows].count("failed") == 1


def test_every_svg_is_well_formed(study: Path):
    assert main([str(study), "--format", "svg"]) == 0
    for path in (study / "report").glob("*.svg"):
        assert ET.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314


def test_the_page_needs_nothing_from_anywhere(study: Path):
    assert main([str(study), "--format", "html"]) == 0
    page = (study / "report" / "report.html").read_text()
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    assert "<b>too large" not in page  # what a run says is text, not markup


def test_a_report_loads_neither_torch_nor_hydra(study: Path):
    code = (
        "import sys; from etude.cli.report import main; "
        f"main([{str(study)!r}]); "
        "slow = {'torch', 'hydra', 'omegaconf', 'scipy.stats', 'matplotlib'}; "
        "sys.exit(', '.join(slow & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_browser_shows_the_numbers_of_arms_csv_and_sorts_by_a_click(study: Path):
    assert main([str(study)]) == 0
    with (study / "report" / "arms.csv").open() as file:
        rows = {row["arm"]: row for row in csv.DictReader(file)}
    with chromium() as window:
        window.get((study / "report" / "report.html").as_uri())
        shown = window.find_element("id", "arms-table").text
        for row in rows.values():
            assert f"{float(row['mean']):.4f}" in shown
            if row["difference"]:
                assert f"{float(row['difference']):+.4f}".replace("-", "−") in shown
        assert [arms(window)[0], arms(window)[-1]] == ["lr=0.001", "lr=0.1"]
        for wanted in ("lr=0.1", "lr=0.01"):  # up, then down
            window.find_element("css selector", "#arms-table th:nth-child(3) button").click()
            assert arms(window)[0] == wanted
        window.find_element("css selector", ".legend button").click()
        assert window.find_elements("css selector", ".s.hidden")
        point = window.find_element("css selector", ".spot")
        tip = "dispatchEvent(new PointerEvent('pointermove', {bubbles: true}))"
        window.execute_script(f"arguments[0].{tip}", point)
        assert "epoch 1: 0.5000" in window.find_element("id", "tip").text
        assert complaints(window) == []


@pytest.mark.slow
def test_a_page_fits_a_phone(study: Path):
    assert main([str(study), "--format", "html"]) == 0
    with chromium() as window:
        size = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
        window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        window.get((study / "report" / "report.html").as_uri())
        assert window.execute_script("return document.documentElement.scrollWidth") == 390
        assert complaints(window) == []


@pytest.mark.slow
def test_a_page_uses_the_width_of_a_desktop(study: Path):
    assert main([str(study), "--format", "html"]) == 0
    with chromium() as window:
        window.set_window_size(1440, 900)
        window.get((study / "report" / "report.html").as_uri())
        width = "return document.querySelector(arguments[0]).getBoundingClientRect().width"
        main_width = window.execute_script(width, "main")
        for wide in ("#arms-table", "#runs-table", ".broad svg"):
            assert window.execute_script(width, wide) > 0.95 * main_width
        assert window.execute_script(width, ".narrow svg") == 0


def arms(window: object) -> list[str]:
    cells = window.find_elements("css selector", "#arms-table tbody td:first-child")  # type: ignore[attr-defined]
    return [cell.text for cell in cells]
