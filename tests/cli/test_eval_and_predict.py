"""`etude-eval` and `etude-predict` on one small run, from files that the run did not need."""

import csv
import errno
import io
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import SMALL
from PIL import Image
from safetensors import safe_open

import etude as package
from etude.cli import evaluate, export, predict
from etude.cli.grad_cam import grad_cam

Output = pytest.CaptureFixture[str]
QUICK = [*SMALL, "record.tensorboard=false", "record.confusion=false", "device=cpu"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on dark and bright images, noisy enough to be told wrong now and then."""
    root = tmp_path_factory.mktemp("after")
    draw = np.random.default_rng(0)
    for part, count in (("train", 12), ("val", 8), ("test", 8)):
        for name, low in (("night", 0), ("ça va", 40)):
            (root / "photos" / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = draw.integers(low, low + 120, (20, 30, 3), dtype=np.uint8)
                pixels = (pixels * draw.uniform(0.5, 1)).astype(np.uint8)
                Image.fromarray(pixels).save(root / "photos" / part / name / f"{number}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        patch.setenv("ETUDE_CACHE", str(root / "cache"))
        for name, seed in (("one", 0), ("two", 1)):
            words = [
                "dataset=folder",
                "dataset.root=photos",
                "dataset.input_size=28",
                "augment=none",
            ]
            words += ["train.batch_size=4", "train.test_every_epoch=true"]
            made = package.run([*QUICK, *words, f"seed={seed}", f"name={name}"], quiet=True)
            made.folder.rename(root / name)
    return root


@pytest.fixture(autouse=True)
def here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("ETUDE_CACHE", str(place / "cache"))


def test_an_evaluation_is_the_runs_own(place: Path, capsys: Output):
    assert evaluate.main(["one", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    summary = json.loads(Path("one/summary.json").read_text())
    assert told["accuracy"] == summary["best"]["test_accuracy"]
    assert told["loss"] == pytest.approx(summary["best"]["test_loss"], rel=1e-5)
    assert told["images"] == 16
    assert told["interval"][0] <= told["accuracy"] <= told["interval"][1]
    assert sum(map(sum, told["confusion"])) == 16
    assert [score["label"] for score in told["classes"]] == ["night", "ça va"]
    assert json.loads(Path("one/evaluation.json").read_text(encoding="utf-8")) == told
    for picture in ("confusion.png", "reliability.png"):
        assert Path("one", picture).read_bytes().startswith(b"\x89PNG")
    for row in told["most_wrong"]:
        assert Path(row["image"]).parent.name == row["class"] != row["answer"]
    assert len(told["most_wrong"]) == min(10, 16 - round(16 * told["accuracy"]))


def test_what_is_written_is_named(capsys: Output):
    assert evaluate.main(["one", "--output", "else"]) == 0
    written = "written  evaluation.json, confusion.png, reliability.png in else/one"
    assert capsys.readouterr().out.splitlines()[-1] == written
    assert evaluate.main(["one", "--data", "photos"]) == 0
    assert "written" not in capsys.readouterr().out


def test_data_that_is_elsewhere_is_named_as_it_was_sought(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
):
    monkeypatch.chdir(tmp_path)
    assert evaluate.main([str(place / "one")]) == 2
    told = capsys.readouterr().err
    assert f"dataset.root=photos is no folder (sought as {tmp_path / 'photos'})" in told
    assert told.endswith("; or ask about class folders with --data FOLDER\n")


@pytest.mark.parametrize(("split", "images"), [("validation", 16), ("train", 24)])
def test_other_splits_are_evaluated_and_name_their_images(split: str, images: int, capsys: Output):
    assert evaluate.main(["one", "--split", split, "--output", "else", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["images"] == images
    best = json.loads(Path("one/summary.json").read_text())["best"]
    if split == "validation":
        assert told["accuracy"] == best["validation_accuracy"]
    part = {"train": "train", "validation": "val"}[split]
    assert all(f"photos/{part}/{row['class']}/" in row["image"] for row in told["most_wrong"])


def test_runs_stand_side_by_side_with_mcnemars_test(capsys: Output):
    assert evaluate.main(["one", "two", "--output", "else"]) == 0
    told = capsys.readouterr().out
    assert "one against two: only the first is right on" in told
    assert "McNemar's exact p = " in told
    assert evaluate.main(["one", "two", "--output", "else", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    one, two = (run["accuracy"] for run in told["runs"])
    (test,) = told["mcnemar"]
    assert (test["only_first"] - test["only_second"]) / 16 == pytest.approx(one - two)


def test_runs_on_other_images_are_not_compared_one_by_one(
    place: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        patch.setenv("ETUDE_OUTPUTS", "others")
        made = []
        for seed in (0, 1):  # of the cut, which leaves equal labels and other images
            words = ["dataset=folder", "dataset.root=photos/train", "dataset.input_size=28"]
            words += ["augment=none", "train.batch_size=4", f"dataset.split_seed={seed}"]
            made.append(str(package.run([*QUICK, *words], quiet=True).folder))
    assert evaluate.main([*made, "--output", "else"]) == 2
    assert "were made with other images" in capsys.readouterr().err


def test_the_images_most_wrong_are_named_where_others_are_skipped(
    place: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree("photos", "holed")
    for number in (0, 2):
        Path("holed", "test", "night", f"{number}.png").write_bytes(b"hello")
    words = ["dataset=folder", "dataset.root=holed", "dataset.input_size=28", "augment=none",
             "train.batch_size=4", "dataset.on_bad_image=skip", "name=holed"]  # fmt: skip
    made = package.run([*QUICK, *words], quiet=True).folder
    assert evaluate.main([str(made), "--json", "--output", "else"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["most_wrong"]
    for wrong in told["most_wrong"]:
        assert predict.main([str(made), wrong["image"], "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert wrong["probability"] == pytest.approx(
            found["probabilities"][wrong["answer"]], rel=1e-3
        )


def test_a_folder_of_classes_takes_the_place_of_the_runs_data(place: Path, capsys: Output):
    assert evaluate.main(["one", "--json", "--output", "else"]) == 0
    own = json.loads(capsys.readouterr().out)
    for data in ("photos", "photos/test"):
        assert evaluate.main(["one", "--data", data, "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["accuracy"] == own["accuracy"]
    (place / "strange" / "owl").mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9, 9)).save(place / "strange" / "owl" / "1.png")
    assert evaluate.main(["one", "--data", "strange"]) == 2
    assert "class owl is none of the run's (night, ça va)" in capsys.readouterr().err


def test_predictions_have_the_accuracy_of_the_evaluation(capsys: Output):
    assert evaluate.main(["one", "--json", "--output", "else"]) == 0
    accuracy = json.loads(capsys.readouterr().out)["accuracy"]
    assert predict.main(["one", "photos/test"]) == 0
    assert f"of 16, {accuracy:.4f}" in capsys.readouterr().out


def test_predictions_are_told_as_one_likes(monkeypatch: pytest.MonkeyPatch, capsys: Output):
    file = "photos/test/night/0.png"
    assert predict.main(["one", file, "--json"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["path"] == file
    assert line["probability"] == max(line["probabilities"].values())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{file}\n".encode())))
    assert predict.main(["one", "-", "photos/test/night/1*.png", "--csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["file"] for row in rows] == [file, "photos/test/night/1.png"]
    assert float(rows[0]["probability"]) == pytest.approx(line["probability"], abs=1e-5)


def test_a_name_that_is_no_utf8_is_given_back_by_its_bytes(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
):
    name = b"caf\xe9.png"
    shutil.copy("photos/test/night/0.png", os.fsdecode(name))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(name + b"\n")))
    assert predict.main(["one", "-", "--json"]) == 0
    told = json.loads(capfdbinary.readouterr().out)
    assert os.fsencode(told["path"]) == name
    assert predict.main(["one", os.fsdecode(name), "--csv"]) == 0
    assert capfdbinary.readouterr().out.splitlines()[1].startswith(name + b",")


def test_a_folder_that_cannot_be_read_is_not_passed_over(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
):
    (place / "shut" / "night").mkdir(parents=True)
    shutil.copy("photos/test/night/0.png", "shut/0.png")
    refuse(monkeypatch, "night")
    for command, words in (
        (predict, ["one", "shut"]), (evaluate, ["one", "--data", "shut"])
    ):  # fmt: skip
        assert command.main(words) == 2
        said = "shut/night cannot be read (Permission denied); allow it, or remove the folder"
        assert said in capsys.readouterr().err


def refuse(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let a folder be unreadable, which none is to the machine's administrator."""
    real = os.scandir

    def scan(folder: Any = ".") -> Any:
        if Path(os.fspath(folder)).name == name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(folder))
        return real(folder)

    monkeypatch.setattr(os, "scandir", scan)


def test_an_image_that_cannot_be_read_does_not_keep_the_others(place: Path, capsys: Output):
    (place / "broken.png").write_bytes(b"no")
    assert predict.main(["one", "broken.png", "photos/test/night/0.png", "--json"]) == 1
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 1
    assert "broken.png cannot be decoded" in told.err
    assert predict.main(["one", "broken.png", "--sheet", "none.png"]) == 1
    assert capsys.readouterr().out == ""  # no empty table, nor an empty sheet
    assert not Path("none.png").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["one", "photos", "--top", "0"], "argument --top: 0 is no number from 1 on"),
        (["one", "nowhere.png"], "nowhere.png: there is no such file or folder"),
        (["one", "cache"], "there is no image among"),
        (["photos", "photos"], "photos has no summary.json"),
        (["one"], "the options are listed by --help"),
    ],
)
def test_a_mistake_is_told_in_a_line(words: list[str], said: str, capsys: Output):
    assert predict.main(words) == 2
    assert said in capsys.readouterr().err


def test_sheets_and_explanations_are_pictures(capsys: Output):
    files = ["photos/test/night/0.png", "photos/test/ça va/0.png"]
    assert predict.main(["one", *files, "--sheet", "s/sheet.png", "--explain", "seen"]) == 0
    assert Path("s/sheet.png").read_bytes().startswith(b"\x89PNG")
    with Image.open("seen/0.png") as picture, Image.open("seen/0_.png") as other:
        assert picture.size == other.size == (28, 28)


def test_grad_cam_finds_where_the_evidence_is():
    """A network that answers by the brightness on the left."""
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 1, 1, bias=False), torch.nn.Flatten(), torch.nn.Linear(64, 2, bias=False)
    )
    with torch.no_grad():
        network[0].weight.fill_(1)
        network[2].weight.zero_()
        network[2].weight[1].view(8, 8)[:, :4] = 1
    image: Any = torch.zeros(1, 1, 8, 8)
    image[..., :2] = 1
    heat = grad_cam(network.eval(), image, 1)
    assert heat.shape == (8, 8)
    assert float(heat[:, :2].min()) == 1
    assert float(heat[:, 2:].max()) == 0


@pytest.mark.parametrize("form", ["torch", "safetensors"])
def test_an_exported_file_answers_as_the_run_does_and_says_what_it_is(form: str, capsys: Output):
    words = ["one", "--format", form, "--check", "photos/test", "--json"]
    assert export.main([*words, "--output", f"made/cats.{form}"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["images"] == told["same_top_1"] == 8 + 16
    card = Path(told["card"]).read_text(encoding="utf-8")
    assert told["card"] == f"made/cats.{form}.md"  # no other file of that name has one
    assert "night, ça va" in card
    if form == "torch":
        with Path("made/cats.torch").open("rb") as file:
            extra = {"inference.json": ""}
            network = torch.export.load(file, extra_files=extra).module()
        assert json.loads(extra["inference.json"])["classes"] == ["night", "ça va"]
        pixels = torch.zeros(3, 3, 28, 28, dtype=torch.uint8)
        assert network(pixels).sum(1).tolist() == pytest.approx([1, 1, 1])


@pytest.mark.parametrize("form", ["torch", "safetensors"])
def test_the_last_weights_are_exported_and_their_card_is_of_them(form: str, capsys: Output):
    shutil.copytree("one", run := f"other_{form}")
    summary = json.loads(Path(run, "summary.json").read_text())
    last = summary["final"]
    summary["best"] = {"epoch": last["epoch"] - 1, "test_accuracy": 0.1234}
    Path(run, "summary.json").write_text(json.dumps(summary))
    kept = torch.load(f"{run}/last.ckpt", weights_only=True)
    for value in kept["state"]["model"].values():
        value.mul_(1.5)
    torch.save(kept, f"{run}/last.ckpt")
    words = [run, "--format", form, "--weights", "last", "--output", f"made/last.{form}"]
    assert export.main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["weights"], told["epochs"], told["steps"]) == ("last", last["epoch"], 0)
    card = Path(told["card"]).read_text(encoding="utf-8")
    assert f"last weights (epoch {last['epoch']})" in card
    assert f"test accuracy {last['test_accuracy']:.4f};" in card
    if form == "safetensors":
        with safe_open(f"made/last.{form}", "pt") as file:
            assert json.loads(file.metadata()["etude"])["epoch"] == last["epoch"]
            wanted = kept["state"]["model"].items()
            assert all(torch.equal(file.get_tensor(key), value) for key, value in wanted)


def test_a_network_of_ones_own_is_sought_in_the_working_folder(
    place: Path, monkeypatch: pytest.MonkeyPatch
):
    source = Path(sys.modules["etude.models.lenet"].__file__ or "").read_text(encoding="utf-8")
    (place / "ownnets.py").write_text(source, encoding="utf-8")
    shutil.copytree("one", "own")
    config = Path("own/config.yaml")
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("etude.models.lenet.", "ownnets."), encoding="utf-8")
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    for command, words in (
        (predict, ["own", "photos/test"]), (evaluate, ["own", "--data", "photos/test"]),
        (export, ["own", "--format", "safetensors", "--output", "made/own.st"]),
    ):  # fmt: skip
        assert command.main(words) == 2
        assert command.main([*words, "--packages", "ownnets"]) == 0


def test_weights_in_the_middle_of_an_epoch_are_called_so(place: Path, capsys: Output):
    shutil.copytree("one", "cut")
    kept = torch.load("cut/last.ckpt", weights_only=True)
    kept["state"] |= {"epoch": 1, "step": 3}
    torch.save(kept, "cut/last.ckpt")
    words = ["cut", "--format", "safetensors", "--weights", "last", "--output", "made/cut.st"]
    assert export.main(words) == 0
    card = Path("made/cut.st.md").read_text(encoding="utf-8")
    assert "last weights (1 epoch and 3 steps of the next)" in card
    assert "test accuracy not measured (etude-eval measures it)" in card


def test_weights_that_are_not_there_are_told_with_the_way_out(place: Path, capsys: Output):
    shutil.copytree("one", "bare")
    for name in ("best.safetensors", "last.ckpt", "last.ckpt.previous"):
        Path("bare", name).unlink(missing_ok=True)
    assert evaluate.main(["bare"]) == 2
    assert "take the last weights (--weights last; in Python" in capsys.readouterr().err
    assert evaluate.main(["bare", "--weights", "last"]) == 2
    assert "has no last.ckpt: it was removed; take the best weights" in capsys.readouterr().err


def test_a_file_that_answers_otherwise_is_not_kept(monkeypatch: pytest.MonkeyPatch, capsys: Output):
    wrong = {"safetensors": lambda job, file: lambda part: 1 - job.whole(part).detach()}
    monkeypatch.setattr("etude.cli.exporting._WRITERS", wrong)
    assert export.main(["one", "--format", "safetensors", "--output", "bad/cats.safetensors"]) == 2
    assert "it is not kept" in capsys.readouterr().err
    assert not list(Path("bad").iterdir())


def test_a_missing_extra_is_told_before_anything_slow(
    monkeypatch: pytest.MonkeyPatch, capsys: Output
):
    monkeypatch.setattr(export, "find_spec", lambda name: None if "x" in name else name)
    monkeypatch.setattr(export, "import_module", lambda _: pytest.fail("PyTorch is imported"))
    assert export.main(["one"]) == 2
    told = capsys.readouterr().err
    assert "--format onnx needs onnx, onnxruntime, onnxscript; pip install 'etude[onnx]'" in told
    assert "--format torch and --format safetensors need nothing" in told


def test_onnx_runtime_answers_as_the_run_does(capsys: Output):
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    words = ["one", "--format", "onnx", "--check", "photos/test", "--output", "made/cats.onnx"]
    assert export.main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["images"] == told["same_top_1"] == 24
    session = onnxruntime.InferenceSession("made/cats.onnx")
    properties = session.get_modelmeta().custom_metadata_map
    assert json.loads(properties["inference"])["classes"] == ["night", "ça va"]
