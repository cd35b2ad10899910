"""The commands that a report prints can be typed: what they need beside their words is there."""

import html
import json
from pathlib import Path

import pytest
import yaml
from fake_runs import Make, maker

from etude.base.text import near
from etude.cli.hydra_door import make_loader
from etude.cli.report import main
from etude.cli.words import options

OWN = {"path": "/my files", "schema": "file", "provider": "command-line"}


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return maker(tmp_path)


def recall(run: Path, *command: str, words: list[str], search: list[str] | None = None) -> None:
    """Write down what a run was begun by, and composed from."""
    (run / "environment.json").write_text(json.dumps({"command": command}))
    (run / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(words))
    node = {"runtime": {"config_sources": [OWN]}, "overrides": {"hydra": search or []}}
    (run / ".hydra" / "hydra.yaml").write_text(yaml.safe_dump({"hydra": node}))


def commands(folder: Path) -> tuple[list[str], list[str]]:
    """What was typed, and each arm alone, as the page shows them."""
    assert main([str(folder), "--format", "html"]) == 0
    page = (folder / "report" / "report.html").read_text()
    section = page.partition('id="again"')[2].partition("</section>")[0]
    typed, alone = (part.partition("</pre>")[0] for part in section.split("<pre>")[1:])
    return html.unescape(typed).splitlines(), html.unescape(alone).splitlines()


def test_each_arm_alone_has_the_folder_of_its_files_and_its_packages(make: Make, tmp_path: Path):
    words = ["model=mine", "packages=[nets]", "init.weights='a b'", "~x", "name=runs", "seed=0"]
    search = ["hydra.searchpath=[file://more]", "hydra.launcher.jobs_per_device=1"]
    recall(make("0.1", 0, 0.9), "etude", words=words, search=search)
    recall(make("0.1", 1, 0.9), "etude", words=words)
    _, alone = commands(tmp_path / "runs")
    assert alone == [
        "etude -m '--config-dir=/my files' 'hydra.searchpath=[file://more]' model=mine "
        "'packages=[nets]' 'init.weights='\"'\"'a b'\"'\"'' '~x' name=runs seed=0,1"
    ]


def test_the_terminals_commands_name_the_folder_of_ones_own_files(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
):
    assert options(make_loader()) == []
    assert options(make_loader(workplace / "own files")) == ["--config-dir=own files"]
    monkeypatch.chdir("/")
    assert options(make_loader(workplace)) == [f"--config-dir={near(workplace)}"]


def test_what_was_typed_is_shown_and_what_a_script_or_a_launcher_calls_itself_is_not(
    make: Make, tmp_path: Path
):
    recall(make("0.1", 0, 0.9), "etude", "-m", "seed=0,1", words=["seed=0"])
    recall(make("0.1", 1, 0.9), "__main__.py", "--config-dir=own", "seed=1", words=["seed=1"])
    recall(make("0.1", 2, 0.9), "ipykernel_launcher.py", "-f", "x", words=["seed=2"])
    recall(make("0.1", 3, 0.9), "_submit.py", "/jobs", words=["seed=3"])
    recall(make("0.1", 4, 0.9), "etude-rerun", "there", words=["seed=4"])
    typed, _ = commands(tmp_path / "runs")
    assert typed == [
        "etude -m seed=0,1",
        "etude --config-dir=own seed=1",
        "etude '--config-dir=/my files' seed=2",
        "etude '--config-dir=/my files' seed=3",
        "etude-rerun there",
    ]
