"""`etude-rerun` does again what a folder holds, says what differs, and trusts it with nothing."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from conftest import MEASURED, SMALL
from PIL import Image
from safetensors.numpy import load_file

import etude as package
from etude.cli import rerun

Output = pytest.CaptureFixture[str]
QUICK = [*SMALL, "train.epochs=1", "record.tensorboard=false", "record.confusion=false"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished runs, on the digits and on images of one's own, copied away from their place."""
    first, other = tmp_path_factory.mktemp("first"), tmp_path_factory.mktemp("other")
    draw = np.random.default_rng(0)
    for part, name in ((p, n) for p in ("train", "test") for n in ("dark", "bright")):
        (first / "photos" / part / name).mkdir(parents=True)
        for number in range(8):
            pixels = draw.integers(0, 255 if name == "bright" else 99, (9, 9, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(first / "photos" / part / name / f"{number}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(first)
        patch.setenv("ETUDE_CACHE", str(first / "cache"))
        patch.delenv("ETUDE_OUTPUTS", raising=False)
        photos = ["dataset=folder", "dataset.root=photos", "dataset.input_size=28", "augment=none"]
        for name, words in (("digits", ["train.epochs=2"]), ("pictures", photos)):
            run = package.run([*QUICK, *words, "train.batch_size=8", f"name={name}"], quiet=True)
            shutil.copytree(run.folder, other / name)
    shutil.copytree(first / "photos", other / "images")
    shutil.rmtree(first)
    return other


@pytest.fixture
def copied(made: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """These runs once more, to be changed, in a working folder that is not the one they had."""
    shutil.copytree(made, workplace, dirs_exist_ok=True)
    monkeypatch.setenv("ETUDE_CACHE", str(workplace / "cache"))
    return workplace


def change(path: Path, do: Callable[[Any], object]) -> None:
    """Change a JSON or YAML file."""
    text = path.read_text(encoding="utf-8")
    is_json = path.suffix == ".json"
    value = json.loads(text) if is_json else yaml.safe_load(text)
    do(value)
    path.write_text(json.dumps(value) if is_json else yaml.safe_dump(value), encoding="utf-8")


def rows(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(x).items() if k not in MEASURED} for x in lines]


def told(capsys: Output, *words: str) -> tuple[int, dict[str, Any]]:
    """The exit code and what JSON says."""
    code = rerun.main([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_a_copied_folder_leads_to_the_same_bits(copied: Path, capsys: Output):
    before = {path: path.read_bytes() for path in Path("digits").rglob("*") if path.is_file()}
    assert rerun.main(["digits"]) == 0
    said = capsys.readouterr().out
    assert "as they were: code, versions, machine" in said
    assert "the same bits as digits" in said
    (new,) = Path("outputs/digits").iterdir()
    assert rows(new) == rows(Path("digits"))
    assert len(rows(new)) == 2
    then, now = (load_file(path / "best.safetensors") for path in (Path("digits"), new))
    assert then.keys() == now.keys()
    assert all(np.array_equal(then[name], now[name]) for name in then)
    assert new.name.endswith(json.loads(Path("digits/summary.json").read_text())["fingerprint"])
    assert {path: path.read_bytes() for path in before} == before
    assert yaml.safe_load((new / "config.yaml").read_text())["device"] == "auto"

    (new / "metrics.jsonl").write_text("")
    assert rerun.main(["digits"]) == 0  # and is not trained once more
    said = capsys.readouterr().out
    assert "finished before, and left as it is" in said
    assert "not the same bits as digits; 0 epochs instead of 2" in said


def test_what_is_different_today_is_told_without_torch(copied: Path):
    def older(then: Any) -> None:
        then["versions"]["torch"], then["git"] = "1.0", {"commit": "f" * 40, "dirty": False}
        then["versions"]["evil"] = "1"
        then |= {"code": "0" * 12, "processor": "Abacus", "cores": 640}

    change(Path("digits/environment.json"), older)
    change(Path("digits/summary.json"), lambda s: s.update(device="NVIDIA Gold"))
    code = (
        "import sys; from etude.cli.rerun import main\n"
        "for words in (['--help'], ['digits', '--dry-run'], ['nothing'], ['digits', '--odd']):\n"
        "    try: print('code', main(words))\n"
        "    except SystemExit: pass\n"
        "print(*sys.modules)"
    )
    here = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env=here
    )
    *said, modules = done.stdout.splitlines()
    slow = {"torch", "torchvision", "sklearn", "matplotlib", "tensorboard", "scipy"}
    assert not slow & {*modules.split()}
    table = {line.split()[0]: line.split()[1:] for line in said if line.strip()}
    assert table["torch"][0] == "1.0"
    assert table["Étude's"][:2] == ["code", "0" * 12]
    assert table["commit"][0] == "f" * 10
    assert table["processor"][0] == "Abacus"
    assert table["cores"][0] == "640"
    assert table["device"] == ["NVIDIA", "Gold", "cpu"]
    assert f"as it was    git checkout {'f' * 40}" in said
    assert "as it was    pip install torch==1.0" in said  # and nothing that no run depends on
    assert [line for line in said if line.startswith("code")] == ["code 0", "code 2", "code 2"]
    assert "nothing has no summary.json" in done.stderr
    assert not Path("outputs").exists()


def test_what_the_machine_chose_is_as_it_was(copied: Path, capsys: Output):
    made_in = json.loads(Path("digits/summary.json").read_text())["precision"]
    other = "float32" if made_in == "bfloat16" else "bfloat16"
    change(Path("digits/summary.json"), lambda s: s.update(precision=other, threads=3))
    try:
        code, said = told(capsys, "digits")
    finally:
        torch.set_num_threads(1)
    assert code == 0
    summary = json.loads(Path(said["folder"], "summary.json").read_text())
    assert (summary["precision"], summary["threads"]) == (other, 3)
    assert said["fingerprint"] in said["folder"]  # `auto`, as it was written
    assert said["same_bits"] is False
    assert said["apart"][0].startswith("epoch 1: train_loss")


def test_images_are_found_elsewhere_and_others_are_another_run(copied: Path, capsys: Output):
    code, said = told(capsys, "pictures", "--dry-run")
    assert code == 2
    assert said["problems"][0].startswith("dataset.root=photos is no folder")
    assert "--data FOLDER says where its images are" in said["problems"][0]
    assert (said["folder"], said["fingerprint"]) == (None, None)  # which the images decide
    code, said = told(capsys, "pictures", "--dry-run", "--data", "images")
    assert (code, said["state"], said["problems"]) == (0, "not started", [])
    fingerprint = json.loads(Path("pictures/summary.json").read_text())["fingerprint"]
    assert said["fingerprint"] == fingerprint

    next(Path("images/train/dark").iterdir()).unlink()
    code, said = told(capsys, "pictures", "--data", "images")
    assert code == 2
    assert "was made with other images or labels, so that this would be" in said["problems"][0]
    assert not Path("outputs").exists()
    code, said = told(capsys, "pictures", "--data", "images", "--anyway", "--dry-run")
    assert code == 0
    assert said["fingerprint"] != fingerprint


def test_code_that_a_folder_names_is_not_run_for_its_word(copied: Path, capsys: Output):
    config = Path("digits/config.yaml")
    Path("mynets.py").write_text("open('ran', 'w')\n")

    def own(values: Any) -> None:
        values["packages"], values["model"] = ["mynets"], {"_target_": "mynets.Net"}

    change(config, own)
    code, said = told(capsys, "digits")
    assert code == 2
    assert "packages=[mynets]" in said["problems"][0]
    assert "if it is yours, add --packages mynets" in said["problems"][0]
    assert not Path("ran").exists()
    Path("mynets.py").unlink()
    code, said = told(capsys, "digits", "--packages", "mynets")
    assert code == 2
    assert "_target_=mynets.Net cannot be imported" in said["problems"][0]


@pytest.mark.parametrize(
    "target", ["etude.runs.leftovers.remove", "os.system", "torch.hub.load"], ids=str
)
def test_nothing_but_parts_of_runs_is_built(copied: Path, target: str, capsys: Output):
    scheduler = {"_target_": target, "path": "photos", "command": "touch ran"}
    change(Path("digits/config.yaml"), lambda values: values.update(scheduler=scheduler))
    code, said = told(capsys, "digits")
    assert code == 2
    assert f"_target_={target} is no" in said["problems"][0]
    assert not Path("ran").exists()


def test_a_command_in_a_folder_is_not_run(copied: Path, capsys: Output):
    def notify(values: Any) -> None:
        values["record"]["notify"] = "no-such-command"  # which is refused where it is heeded
        values["fresh"] = True

    change(Path("digits/config.yaml"), notify)
    _, said = told(capsys, "digits")
    assert said["same_bits"] is True
    config = yaml.safe_load(Path(said["folder"], "config.yaml").read_text())
    assert (config["record"]["notify"], config["fresh"]) == (None, False)


def test_a_folder_of_configuration_that_is_gone_is_told(copied: Path, capsys: Output):
    def own(values: Any) -> None:
        source = {"path": "/nowhere/conf.d", "schema": "file", "provider": "command-line"}
        values["hydra"]["runtime"]["config_sources"].append(source)

    change(Path("digits/.hydra/hydra.yaml"), own)
    code, said = told(capsys, "digits", "--dry-run")
    assert code == 0
    (row,) = said["changed"]
    assert (row["what"], row["then"]) == ("--config-dir", "/nowhere/conf.d")


def test_a_folder_of_an_earlier_version_is_the_same_run(copied: Path, capsys: Output):
    def older(values: Any) -> None:
        del values["record"]["layers"], values["train"]["keep_memory"]
        del values["train"]["average_decay"], values["augment"]["photometric"]

    _, now = told(capsys, "digits", "--dry-run")
    change(Path("digits/config.yaml"), older)
    code, then = told(capsys, "digits", "--dry-run")
    assert code == 0
    assert then["fingerprint"] == now["fingerprint"]


def test_an_unfinished_run_in_its_own_place_is_left_alone(copied: Path, capsys: Output):
    _, said = told(capsys, "digits", "--dry-run")
    shutil.copytree("digits", said["folder"])
    code, same = told(capsys, said["folder"])
    assert (code, same["state"], same["same_bits"]) == (0, "finished", None)
    change(Path(said["folder"], "summary.json"), lambda summary: summary.update(state="failed"))
    code, again = told(capsys, said["folder"])
    assert code == 2
    assert "is this run's own place, and it is not finished" in again["problems"][0]
    code, again = told(capsys, said["folder"], "--outputs", "again", "--dry-run")
    assert (code, again["state"]) == (0, "not started")


@pytest.mark.parametrize(
    ("words", "said"),
    [(["digits", "--data", "images"], "--data images: the images of digits are in no folder"),
     (["digits", "--weights", "w"], "--weights w: digits begins with none; leave it out"),
     (["digits", "--device", "abacus"], "device=abacus must be auto, cpu, cuda"),
     (["digits", "--config-dir", "none"], "--config-dir none is no folder"),
     (["images"], "images has no summary.json that can be read")],
)  # fmt: skip
def test_what_cannot_be_is_refused(copied: Path, words: list[str], said: str, capsys: Output):
    assert rerun.main(words) == 2
    assert said in capsys.readouterr().err
    assert not Path("outputs").exists()


@pytest.mark.parametrize("below", ["digits", "digits/again"])
def test_the_folder_that_is_only_read_takes_no_new_run(copied: Path, below: str, capsys: Output):
    before = sorted((copied / "digits").iterdir())
    assert rerun.main(["digits", "--outputs", below]) == 2
    assert f"--outputs {below} is inside of digits, which is only read" in capsys.readouterr().err
    assert sorted((copied / "digits").iterdir()) == before


def test_weights_that_cannot_be_compared_are_told_of(copied: Path, capsys: Output):
    best = Path("digits/best.safetensors")
    best.write_bytes(best.read_bytes()[:1000])
    assert rerun.main(["digits", "--exact"]) == 1
    told = capsys.readouterr()
    assert "not the same bits as digits; its weights, which cannot be compared: " in told.out
    assert "Traceback" not in told.out + told.err
    best.unlink()
    assert rerun.main(["digits", "--exact"]) == 0
    assert "the same bits as digits, epoch by epoch: it has no weights" in capsys.readouterr().out


@pytest.mark.parametrize("damage", [{"accumulate": 0}, {"precision": "float99"}])
def test_a_summary_that_no_run_writes_is_refused(
    copied: Path, damage: dict[str, Any], capsys: Output
):
    change(Path("digits/summary.json"), lambda s: s.update(damage))
    assert rerun.main(["digits", "--dry-run"]) == 2
    assert "summary.json is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "[1, 2]", "other: 1"])
def test_a_configuration_that_is_none_is_one_line(copied: Path, text: str, capsys: Output):
    Path("digits/config.yaml").write_text(text)
    assert rerun.main(["digits"]) == 2
    told = capsys.readouterr().err
    assert "digits has no config.yaml that can be read" in told
    assert told.count("\n") == 1
