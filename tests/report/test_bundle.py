"""A report's bundle has what a reviewer asks for, and makes the runs again from itself alone."""

import csv
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import MEASURED, SMALL
from fake_runs import Make, maker, unfinished
from safetensors.numpy import load_file

from etude.cli import rerun
from etude.cli.report import main
from etude.report.bundle.credit import Author, credit_of
from etude.report.read import read
from etude.runs import checkout
from etude.runs.composed import options_of, words_of
from etude.runs.find import find_runs
from etude.runs.installed import installed

Output = pytest.CaptureFixture[str]
Etude = Callable[..., int]
QUICK = [*SMALL, "record.tensorboard=false", "record.confusion=false", "hydra/launcher=basic"]
NETWORK = """\
from etude.models.cnn4 import CNN4

class Net(CNN4):
    pass
"""


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return maker(tmp_path)


@pytest.fixture
def study(make: Make, tmp_path: Path) -> Path:
    """Two finished runs and a failed one, made by hand."""
    for arm, value in (("0.001", 0.9), ("0.01", 0.95)):
        path = make(arm, 0, value, data={"digest": "0123456789abcdef", "train": 3})
        made_with: dict[str, Any] = {
            "versions": {"python": "3.12.1", "etude": "0.1.0", "torch": "2.14.1"},
            "installed": {"torch": "2.14.1", "sympy": "1.14", "evil": "1\n--index-url there"},
            "code": "0" * 12, "git": {"commit": "f" * 40, "dirty": False},
            "platform": "Linux", "processor": "Abacus", "cores": 4, "host": "h", "resumed": [],
        }  # fmt: skip
        (path / "environment.json").write_text(json.dumps(made_with))
        log = "2026-11-26 12:04:30,123 INFO begun\nx\n2026-11-26 13:04:31,001 WARNING so\nx\n"
        (path / "run.log").write_text(log)
    make("0.1", 0, None, **unfinished("failed", error="OutOfMemoryError: too large"))
    return tmp_path / "runs"


def bundle_of(folder: Path, *words: str) -> Path:
    assert main([str(folder), "--format", "bundle", *words]) == 0
    return folder / "report" / "bundle"


def sh(bundle: Path, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the script, in the working folder."""
    return subprocess.run(
        ["sh", str(bundle / "reproduce.sh"), *words],
        check=False, env={**os.environ, **environment}, capture_output=True, text=True,
    )  # fmt: skip


def path_with(command: str) -> str:
    """A path on which `etude-rerun` is a command."""
    program = Path("bin", "etude-rerun").absolute()
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{command}\n")
    program.chmod(0o755)
    return f"{program.parent}:{os.environ['PATH']}"


def asked_for(bundle: Path, *words: str) -> list[list[str]]:
    """The words of each etude-rerun that the script calls, which says that all went well."""
    done = sh(bundle, *words, PATH=path_with('printf "%s\\n" "$@" "" >> calls'))
    assert done.returncode == 0, done.stderr
    text = Path("calls").read_text()
    return [call.split("\n") for call in text.removesuffix("\n\n").split("\n\n")]


def rows(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(x).items() if k not in MEASURED} for x in lines]


def assert_same_bits(then: Path, now: Path) -> None:
    assert rows(now) == rows(then)
    assert len(rows(now)) > 0
    old, new = (load_file(path / "best.safetensors") for path in (then, now))
    assert {name: old[name].tobytes() for name in old} == {k: v.tobytes() for k, v in new.items()}


def moved(workplace: Path) -> tuple[Path, dict[str, Path]]:
    """The bundle, copied, and the runs that it is about, where it cannot find them."""
    (made,) = workplace.glob("outputs/*")
    bundle = bundle_of(made)
    shutil.copytree(bundle, workplace / "elsewhere" / "bundle")
    made.rename(workplace / "kept")
    runs = {path.parent.name: path.parent for path in workplace.glob("kept/*/summary.json")}
    return workplace / "elsewhere" / "bundle", runs


def test_a_sweep_is_made_again_from_its_bundle_to_the_bit(etude: Etude, workplace: Path):
    assert etude("-m", "optimizer.lr=0.001,0.01", *QUICK) == 0
    bundle, runs = moved(workplace)
    calls = asked_for(bundle, "again dir", "--device", "cpu")
    assert [call[1:] for call in calls] == [
        ["--outputs", "again dir", "--exact", "--device", "cpu"]
    ] * 2
    for call in calls:
        assert rerun.main(call) == 0
    made = {path.parent.name: path.parent for path in Path("again dir").glob("*/*/summary.json")}
    assert made.keys() == runs.keys()
    for name, folder in made.items():
        assert_same_bits(runs[name], folder)
    lines = (bundle / "reproduce.sh").read_text().splitlines()
    typed = [set(line.split()[2:]) for line in lines if line.startswith("# etude ")]
    words = [word.replace("=false", "=False") for word in QUICK[:-1]]
    assert typed == [{f"optimizer.lr={rate}", *words} for rate in (0.001, 0.01)]


@pytest.mark.slow
def test_the_script_itself_makes_a_sweep_again_to_the_bit(etude: Etude, workplace: Path):
    assert etude("-m", "optimizer.lr=0.001,0.01", *QUICK) == 0
    bundle, runs = moved(workplace)
    path = path_with(f'exec {sys.executable} -m etude.cli.rerun "$@"')
    done = sh(bundle, PATH=path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 runs came to the same bits" in done.stdout
    for folder in workplace.glob("again/*/*"):
        assert_same_bits(runs[folder.name], folder)
    # What it is held against is another result now.
    copied = next((bundle / "runs").glob("*/*/summary.json"))
    copied.write_text(copied.read_text().replace('"test_accuracy": 0.', '"test_accuracy": 1.'))
    done = sh(bundle, PATH=path)
    assert done.returncode == 1
    assert "1 of 2 runs came to the same bits" in done.stdout


@pytest.mark.slow
def test_code_of_ones_own_and_the_folder_of_its_files_are_named(etude: Etude, workplace: Path):
    own = workplace / "own files"
    (own / "model").mkdir(parents=True)
    (own / "mynets.py").write_text(NETWORK)
    (own / "model" / "mine.yaml").write_text("defaults: [cnn4]\n_target_: mynets.Net\n")
    words = ["model=mine", "packages=[mynets]", *QUICK, "train.epochs=1"]
    assert etude(f"--config-dir={own}", *words) == 0
    bundle, runs = moved(workplace)
    (call,) = asked_for(bundle)
    given = ["--packages", "mynets", "--config-dir", str(own)]
    assert call[1:] == ["--outputs", "again", "--exact", *given]
    typed = next(x for x in (bundle / "reproduce.sh").read_text().splitlines() if "model=" in x)
    assert typed.startswith(f"# etude '--config-dir={own}' model=mine 'packages=[mynets]' ")
    assert rerun.main(call) == 0
    (folder,) = Path("again").glob("*/*")
    assert_same_bits(next(iter(runs.values())), folder)


def test_what_a_run_needs_beside_its_copy_is_named(make: Make, tmp_path: Path):
    path = make("0.1", 0, 0.9)
    (path / "config.yaml").write_text("packages:\n- mynets\n- others\n")
    own = {"path": "/my files", "provider": "command-line"}
    node = {"hydra": {"runtime": {"config_sources": [own]}}}
    (path / ".hydra" / "hydra.yaml").write_text(yaml.safe_dump(node))
    lines = (bundle_of(tmp_path / "runs") / "reproduce.sh").read_text().splitlines()
    call = next(n for n, line in enumerate(lines) if line.startswith("again runs/"))
    assert lines[call].endswith(" --packages mynets others --config-dir '/my files' \"$@\"")
    assert lines[call - 1] == "# etude '--config-dir=/my files' optimizer.lr=0.1 seed=0"


def test_a_run_that_began_with_another_comes_after_it_and_begins_with_the_new_one(
    make: Make, tmp_path: Path
):
    last, first, second = make("0.1", 0, 0.9), make("0.2", 1, 0.9), make("0.3", 2, 0.9)
    for run, other in ((second, first), (last, second)):
        weights = f"outputs/runs/{other.name}/best.safetensors"
        (run / ".hydra" / "overrides.yaml").write_text(f"- init.weights='{weights}'\n")
    text = (bundle_of(tmp_path / "runs") / "reproduce.sh").read_text()
    lines = [line for line in text.splitlines() if line.startswith("again runs/")]
    weights = [f' --weights "$outputs"/runs/{run.name}/best.safetensors' for run in (first, second)]
    assert lines == [
        f'again runs/runs/{first.name} "$@"',
        f'again runs/runs/{second.name}{weights[0]} "$@"',
        f'again runs/runs/{last.name}{weights[1]} "$@"',
    ]


def test_what_a_folder_says_is_no_command(make: Make, tmp_path: Path, monkeypatch: Any):
    monkeypatch.chdir(tmp_path)
    path = make("0.1", 0, 0.9)
    words = "- \"name=x\\ntouch ran\"\n- optimizer.lr=$(touch ran)\n- 'l2=`touch ran`'\n"
    (path / ".hydra" / "overrides.yaml").write_text(words)
    (path / "config.yaml").write_text("packages: [a, '; touch ran']\n")
    path.rename(path.with_name("$(touch ran)'; touch ran"))
    (call,) = asked_for(bundle_of(tmp_path / "runs"))
    assert call[0].endswith("/$(touch ran)'; touch ran")
    assert call[-3:] == ["--packages", "a", "; touch ran"]
    assert not Path("ran").exists()


def test_it_says_what_the_runs_were_made_with_and_on(study: Path):
    bundle = bundle_of(study)
    text = (bundle / "README.md").read_text()
    assert f"- Étude 0.1.0 at commit {'f' * 40}; `requirements_1.txt`" in text
    assert "on Abacus, 4 cores (Linux)" in text
    assert "- energy: not told: no run reads what its machine draws" in text
    assert "digest 0123456789abcdef: 3 train" in text
    computing = json.loads((bundle / "computing.json").read_text())
    assert computing["hours"] == pytest.approx(20 / 3600)
    assert computing["energy_joules"] is None
    assert [machine["runs"] for machine in computing["machines"]] == [2, 1]
    data = json.loads((bundle / "data.json").read_text())
    assert data["data"]["0123456789abcdef"]["train"] == 3
    assert "# not made again: " in (bundle / "reproduce.sh").read_text()
    assert stat.S_IMODE((bundle / "reproduce.sh").stat().st_mode) & 0o111
    with (bundle / "runs.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 3


def test_the_lock_has_versions_and_no_address(study: Path):
    lines = (bundle_of(study) / "requirements_1.txt").read_text().splitlines()
    assert lines == ["# Python 3.12.1", "sympy==1.14", "torch==2.14.1"]


def test_a_run_records_all_that_is_installed_for_it(etude: Etude, workplace: Path):
    assert etude(*QUICK[:-1], "train.epochs=1") == 0
    (summary,) = workplace.glob("outputs/*/*/summary.json")
    recorded = json.loads((summary.parent / "environment.json").read_text())
    assert recorded["installed"]["torch"] == version("torch")
    assert {"pyyaml", "sympy", "hydra-core"} <= recorded["installed"].keys()  # that others require
    lines = (bundle_of(summary.parents[1]) / "requirements.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[\w.-]+==[\w.+!-]+", line) for line in lines[1:])


def test_what_is_installed_is_what_pythons_own_reader_says():
    found = installed(["etude", "Scikit_Learn", "no-such-package"])
    assert found == {name: version(name) for name in found}
    assert {"scikit-learn", "joblib", "torch"} <= found.keys()
    assert "pytest" not in found  # which is only developed with
    assert "no-such-package" not in found


def test_the_copies_are_no_runs_but_in_the_bundle_itself(study: Path):
    bundle = bundle_of(study)
    assert len(list(find_runs(study))) == 3
    assert len(read([study.parent])) == 3
    copies = read([bundle])
    assert [run.state for run in copies] == [run.state for run in read([study])]
    assert [run.words for run in copies] == [run.words for run in read([study])]


def test_a_bundle_is_of_the_last_report(study: Path):
    bundle = bundle_of(study)
    (bundle / "notes.txt").write_text("mine")
    (bundle / "code_7.patch").write_text("")
    first = next(path for path in study.iterdir() if "0.001" in path.name)
    copy = next((bundle / "runs").glob(f"*/{first.name}/summary.json"))
    before = copy.stat().st_ino
    bundle_of(study)
    assert copy.stat().st_ino == before  # not copied again
    shutil.rmtree(first)
    bundle_of(study)
    assert not copy.parent.exists()
    assert not (bundle / "code_7.patch").exists()
    assert (bundle / "notes.txt").exists()


def test_a_folder_of_that_name_that_is_no_bundle_is_not_cleared(study: Path):
    mine = study / "report" / "bundle" / "runs" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    bundle_of(study)
    assert mine.read_text() == "mine"


def test_a_reader_of_crates_reads_it(study: Path, workplace: Path, capsys: Output):
    rocrate = pytest.importorskip("rocrate.rocrate", reason="pip install rocrate")
    (workplace / "CITATION.cff").write_text(
        "authors:\n- given-names: Ada\n  family-names: Byron\n  affiliation: Home\n"
        "  orcid: https://orcid.org/0000-0000-0000-0001\n- name: The Analysts\nlicense: CC-BY-4.0\n"
    )
    bundle = bundle_of(study)
    capsys.readouterr()
    crate = rocrate.ROCrate(bundle)
    there = {entity.id: entity for entity in crate.data_entities}
    assert {"README.md", "reproduce.sh", "data.json", "runs.csv"} <= there.keys()
    for identifier, entity in there.items():
        kind = "Dataset" if identifier.endswith("/") else "File"
        assert entity.type == kind
        assert Path(entity.source).exists(), identifier
    assert len([name for name in there if name.endswith("/")]) == 3
    root = crate.root_dataset
    assert {author.type for author in root["author"]} == {"Person", "Organization"}
    assert root["license"].id == "https://spdx.org/licenses/CC-BY-4.0"
    assert root["datePublished"]
    actions = crate.get_by_type("CreateAction")
    assert len(actions) == 3
    assert {action.id for action in actions} <= {other.id for other in root["mentions"]}
    done = next(action for action in actions if "0.01_" in action.id)
    assert done["instrument"].type == "SoftwareApplication"
    assert done["instrument"]["softwareVersion"] == "0.1.0"
    assert {part["name"] for part in done["instrument"]["softwareRequirements"]} == {
        "python", "torch"
    }  # fmt: skip
    assert done["result"].id in there
    assert [thing.type for thing in done["object"]] == ["Dataset"]
    assert (done["startTime"], done["endTime"]) == ("2026-11-26T12:04:30", "2026-11-26T13:04:31")
    states = sorted(action["actionStatus"].rpartition("/")[2] for action in actions)
    assert states == ["CompletedActionStatus", "CompletedActionStatus", "FailedActionStatus"]


def test_every_link_of_the_crate_leads_somewhere(study: Path):
    graph = json.loads((bundle_of(study) / "ro-crate-metadata.json").read_text())["@graph"]
    known = {entity["@id"] for entity in graph}
    assert len(known) == len(graph)
    links = re.findall(r'\{"@id": "([^"]+)"\}', json.dumps(graph))
    assert links
    assert {link for link in links if "://" not in link} <= known


def test_whom_to_credit_is_read_and_nothing_else_is_said():
    told: dict[str, Any] = {"authors": [{"family-names": "Byron"}, {"name": "A"}, {}, 3]}
    credit = credit_of({**told, "license": ["MIT", "Apache-2.0"]})
    assert credit.authors == [Author("Byron", is_person=True), Author("A", is_person=False)]
    assert credit.license == "MIT"
    assert not credit_of([]).authors
    assert not credit_of({"authors": 5}).authors


def test_a_damaged_citation_is_told_and_credits_nobody(
    study: Path, workplace: Path, capsys: Output
):
    (workplace / "CITATION.cff").write_text("authors: [\n")
    bundle_of(study)
    assert "CITATION.cff cannot be read" in capsys.readouterr().err


def git(*words: str) -> str:
    config = ["-c", "user.name=n", "-c", "user.email=e@e"]
    return subprocess.run(
        ["git", *config, *words], check=True, capture_output=True, text=True
    ).stdout


def test_the_difference_of_the_code_leads_from_its_commit_to_what_ran(
    etude: Etude, workplace: Path, monkeypatch: pytest.MonkeyPatch
):
    top = workplace / "checkout"
    (top / "src").mkdir(parents=True)
    (top / "src" / "a.py").write_text("a = 1\n")
    monkeypatch.setattr(checkout, "_top", lambda: top)
    monkeypatch.chdir(top)
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    (top / "notes.txt").write_text("no code")
    assert not (checkout.git() or {"dirty": True})["dirty"]
    assert checkout.difference() == ""
    (top / "src" / "a.py").write_text("a = 2\n")
    (top / "src" / "ü b.py").write_bytes(b"new = '\xe9'\n")
    (top / "src" / "c.bin").write_bytes(bytes(range(256)))
    monkeypatch.chdir(workplace)
    assert etude(*QUICK[:-1], "train.epochs=1") == 0
    (summary,) = workplace.glob("outputs/*/*/summary.json")
    bundle = bundle_of(summary.parents[1])
    assert "changed as code.patch says" in (bundle / "README.md").read_text()
    (workplace / "clean").mkdir()
    monkeypatch.chdir(workplace / "clean")
    git("clone", "-q", str(top), ".")
    git("apply", str(bundle / "code.patch"))
    for path in (top / "src").iterdir():
        assert (Path("src") / path.name).read_bytes() == path.read_bytes()


def test_words_are_read_as_they_were_typed(tmp_path: Path):
    (tmp_path / ".hydra").mkdir()
    folded = "model.layers=[" + ", ".join(map(str, range(60))) + "]"
    words = ["seed=2", "init.weights='a b/c'", "name='x: y'", "~train.clip_norm", folded]
    (tmp_path / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(words))
    assert words_of(tmp_path) == words
    sources = [{"path": "/my own/c: d", "schema": "file", "provider": "command-line"}]
    search = ["hydra.searchpath=[file://x]", "hydra.launcher.n=1"]
    hydra = {"runtime": {"config_sources": sources}, "overrides": {"hydra": search}}
    (tmp_path / ".hydra" / "hydra.yaml").write_text(yaml.safe_dump({"hydra": hydra}))
    assert options_of(tmp_path) == ["--config-dir=/my own/c: d", "hydra.searchpath=[file://x]"]
    for damaged in ("- '", '- "\n', "5", "- {a: [", "\0"):
        (tmp_path / ".hydra" / "overrides.yaml").write_text(damaged)
        (tmp_path / ".hydra" / "hydra.yaml").write_text(f"command-line {damaged}")
        words_of(tmp_path)
        assert options_of(tmp_path) == []
