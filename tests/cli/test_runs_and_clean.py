"""`etude-runs` finds runs by words; `etude-clean` removes what nobody needs, and nothing else."""

import csv
import io
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from etude.cli import clean, runs
from etude.runs.query import all_runs, choose, ordered

Output = pytest.CaptureFixture[str]
NOW = 2_000_000_000.0
DAY = 86400


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four runs: two finished, one failed, one moved aside."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ETUDE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("ETUDE_OUTPUTS", raising=False)
    run("digits/a_seed=0-00000001", "finished", "KerasSGD", "sgd_keras", 0.99, 0.1, days=1)
    run("digits/a_seed=1-00000002", "finished", "KerasAdam", "adam_keras", 0.97, 0.01, days=9)
    run("photos/b_seed=0-00000003", "failed", "SGD", "sgd", None, 0.2, days=3)
    run(
        "digits/a_seed=0-00000001.replaced-20260101T000000000000Z", "finished", "SGD", "sgd", 0.5, 1
    )
    return tmp_path


def run(
    name: str, state: str, target: str, word: str, accuracy: float | None, lr: float, days: int = 0
) -> None:
    folder = Path("outputs", name)
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra/overrides.yaml").write_text(f"- optimizer={word}\n- seed=0\n")
    score = {"epoch": 2, "test_accuracy": accuracy}
    summary: dict[str, Any] = {
        "state": state, "name": folder.parent.name, "seed": int(name.partition("seed=")[2][0]),
        "seconds": 10.0 * (days + 1), "fingerprint": name[-8:],
        "hyperparameters": {"optimizer._target_": target, "optimizer.lr": lr, "l2": None},
    }  # fmt: skip
    summary |= {"final": score, "best": score} if accuracy else {"error": "it broke"}
    (folder / "summary.json").write_text(json.dumps(summary))
    os.utime(folder / "summary.json", (NOW - days * DAY, NOW - days * DAY))
    for file in ("last.ckpt", "last.ckpt.previous", "best.safetensors"):
        (folder / file).write_bytes(b"x" * 1000)


def found(*words: str) -> list[str]:
    return [run.folder.name[-1] for run in choose(all_runs(Path("outputs")), words, NOW)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "123"),
        (["optimizer=sgd"], "13"),  # a choice's beginning, as its class's
        (["optimizer=adam_keras"], "2"),
        (["optimizer=KerasSGD"], "1"),
        (["optimizer!=sgd"], "2"),
        (["test_accuracy>0.98"], "1"),
        (["best.test_accuracy<=0.97"], "2"),
        (["lr=0.1"], "1"),
        (["lr=1e-2"], "2"),
        (["lr>=0.1", "state=finished"], "1"),
        (["state=f*"], "123"),
        (["seed=1"], "2"),
        (["since=7d"], "13"),
        (["before=7d"], "2"),
        (["since=12h"], ""),
        (["photos"], "3"),
        (["l2=null"], "123"),
    ],
    ids=str,
)
def test_words_choose(made: Path, words: list[str], expected: str):
    assert "".join(found(*words)) == expected


def test_a_list_is_sought_as_it_is_typed(made: Path):
    path = Path("outputs/digits/a_seed=1-00000002/summary.json")
    summary = json.loads(path.read_text())
    summary["hyperparameters"] |= {"dataset.std": [0.25, 0.24], "dataset.classes": ["cat", "dog"]}
    path.write_text(json.dumps(summary))
    for word in ("std=[0.25,0.24]", "dataset.std=[.25, 0.240]", "classes=[cat,'dog']"):
        assert found(word) == ["2"], word
    for word in ("std=[0.25]", "std=[0.24,0.25]", "classes=[a-z]"):
        assert found(word) == [], word
    assert "2" not in found("std!=[0.25,0.24]")


def test_runs_are_sorted_and_those_without_a_number_come_last(made: Path):
    every = all_runs(made / "outputs")
    for key, expected in (("test_accuracy", "213"), ("-test_accuracy", "123"), ("-lr", "312")):
        assert "".join(run.folder.name[-1] for run in ordered(every, key)) == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["accuraci>0.9"], "accuraci: there is no such key"),
        (["lr>fast"], "lr>fast: fast is no number"),
        (["since=soon"], "since=soon: write 30m, 12h, 7d, 2w, or a date"),
        (["--folder", "nowhere"], "nowhere is no folder"),
        (["--jsno"], "the options are listed by --help"),
    ],
)
def test_a_mistake_is_told_in_a_line(made: Path, capsys: Output, words: list[str], said: str):
    assert runs.main(words) == 2
    assert said in capsys.readouterr().err


def test_runs_are_told_as_one_likes(made: Path, capsys: Output):
    assert runs.main(["optimizer=sgd", "state=finished"]) == 0
    told = capsys.readouterr().out
    assert "a_seed=0-00000001" in told
    assert "0.9900" in told
    assert told.splitlines()[-1] == "1 run"
    assert runs.main(["--json"]) == 0
    assert [row["optimizer.lr"] for row in json.loads(capsys.readouterr().out)] == [0.1, 0.01, 0.2]
    assert runs.main(["--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["state"] for row in rows] == ["finished", "finished", "failed"]
    assert runs.main(["--paths", "photos"]) == 0
    assert capsys.readouterr().out == "outputs/photos/b_seed=0-00000003\n"


@pytest.mark.parametrize("form", [[], ["--paths"]])
def test_that_no_run_fits_is_told_beside_what_a_script_reads(
    made: Path, capsys: Output, form: list[str]
):
    assert runs.main(["nothing-like-it", "seed=7", *form]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "etude: none of 3 runs in and below outputs fits nothing-like-it seed=7\n"
    (made / "none").mkdir()
    assert runs.main(["--folder", "none", *form]) == 1
    assert capsys.readouterr().err == "etude: there is no run in and below none\n"


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_narrow_terminal_cuts_no_hash_and_no_number(
    made: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch, width: int
):
    monkeypatch.setattr(runs.console, "_width", width)
    assert runs.main([]) == 0
    told = capsys.readouterr().out
    assert max(map(len, told.splitlines())) <= width
    for whole in ("digits/a_seed=0", "-00000001", "-00000002", "-00000003", "0.9900", "0.9700"):
        assert whole in told


def test_what_is_not_needed_is_listed_and_nothing_is_touched(made: Path, capsys: Output):
    cached = made / "cache" / "0123.safetensors"
    cached.parent.mkdir()
    cached.write_bytes(b"x" * 3000)
    before = sorted(made.rglob("*"))
    assert clean.main([]) == 0
    told = capsys.readouterr().out
    assert "6 places; add --yes to remove them" in told
    assert "a run of more epochs begins anew in place of going on from it" in told
    assert sorted(made.rglob("*")) == before
    assert clean.main(["--json"]) == 0
    kinds = [left["kind"] for left in json.loads(capsys.readouterr().out)]
    assert kinds == ["aside", *["checkpoint"] * 4, "cache"]
    assert clean.main(["--only", "aside", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 1


def test_what_is_listed_is_removed_and_a_run_that_can_go_on_keeps_all(made: Path, capsys: Output):
    assert clean.main(["--yes"]) == 0
    assert "removed" in capsys.readouterr().out
    assert not list(made.glob("outputs/*/*.replaced-*"))
    kept = sorted(str(p.relative_to(made)) for p in made.rglob("last.ckpt*"))
    assert kept == [f"outputs/photos/b_seed=0-00000003/last.ckpt{end}" for end in ("", ".previous")]
    assert len(list(made.rglob("best.safetensors"))) == 3
    assert clean.main([]) == 0
    assert "nothing to remove" in capsys.readouterr().out


def test_only_what_fresh_moved_aside_is_aside_and_of_a_link_the_link_goes(
    made: Path, capsys: Output
):
    own = made / "outputs" / "photos.replaced-20200101"
    own.mkdir()
    (own / "notes.txt").write_text("mine")
    (aside,) = made.glob("outputs/digits/*.replaced-2026*")
    elsewhere = aside.rename(made / "elsewhere")
    aside.symlink_to(elsewhere)
    assert clean.main(["--only", "aside", "--yes"]) == 0
    assert "0.0 MiB in 1 place, removed" in capsys.readouterr().out
    assert not aside.is_symlink()
    assert (elsewhere / "summary.json").exists()
    assert (own / "notes.txt").read_text() == "mine"


def test_what_cannot_be_removed_is_not_called_removed(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
):
    real = Path.unlink

    def unlink(path: Path, **how: bool) -> None:
        if path.name == "last.ckpt":
            raise PermissionError(13, "Permission denied")
        real(path, **how)

    monkeypatch.setattr(Path, "unlink", unlink)
    assert clean.main(["--only", "checkpoint", "--yes"]) == 1
    told = capsys.readouterr()
    assert "in 2 places, removed" in told.out
    assert "last.ckpt " not in told.out
    assert told.err.count("last.ckpt stays: Permission denied") == 2
    assert clean.main(["--only", "checkpoint", "--yes", "--json"]) == 1
    assert [left["removed"] for left in json.loads(capsys.readouterr().out)] == [False, False]
    assert clean.main(["--only", "checkpoint", "--yes"]) == 1
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("rerun", ["digits", "--outputs"]),
        ("report", ["digits", "--output"]),
        ("evaluate", ["digits", "--output"]),
        ("predict", ["digits", "a.png", "--explain"]),
        ("check", ["digits", "--record"]),
    ],
)
@pytest.mark.parametrize("place", ["taken", "taken/below"])
def test_a_file_in_the_place_of_a_folder_is_told_before_anything_is_read(
    made: Path, capsys: Output, command: str, words: list[str], place: str
):
    (made / "taken").write_text("")
    assert import_module(f"etude.cli.{command}").main([*words, place]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "taken is a file; give a folder" in line


def test_a_run_that_a_process_is_at_work_on_keeps_all(made: Path):
    from etude.runs.claim import claimed  # noqa: PLC0415

    with claimed(made / "outputs/digits/a_seed=0-00000001"):
        assert clean.main(["--yes", "--only", "checkpoint"]) == 0
    assert (made / "outputs/digits/a_seed=0-00000001/last.ckpt").exists()
    assert not (made / "outputs/digits/a_seed=1-00000002/last.ckpt").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_commands_options_are_completed(shell: str, capsys: Output):
    with pytest.raises(SystemExit) as left:
        runs.main(["--completion", shell])
    assert left.value.code == 0
    told = capsys.readouterr().out
    assert "etude-runs" in told
    assert "paths" in told


@pytest.mark.parametrize("command", ["runs", "clean"])
def test_a_list_of_folders_needs_neither_torch_nor_hydra(made: Path, command: str):
    code = f"import sys; from etude.cli import {command} as c; c.main([]); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "matplotlib", "pandas"} & set(done.stdout.split())
