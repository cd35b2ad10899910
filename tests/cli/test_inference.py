"""A run's folder is enough: what its network needs stands in it, as numbers and names."""

import json
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import SMALL
from PIL import Image

import etude as package
from etude.base.errors import UserError
from etude.data.preparation import Preparation
from etude.data.prepare import prepare
from etude.data.sources.folder import Folder
from etude.train.builders import make_parts

QUICK = [*SMALL, "record.tensorboard=false", "record.confusion=false", "device=cpu"]


def photographs(root: Path, *, count: int = 6) -> Path:
    """Dark and bright images, in two parts and two classes."""
    draw = np.random.default_rng(0)
    for part in ("train", "test"):
        for name, low in (("night", 0), ("ça va", 150)):
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = draw.integers(low, low + 100, (20, 30, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{number}.png")
    return root


def trained(root: Path, *words: str) -> Any:
    own = ["dataset=folder", f"dataset.root={root}", "dataset.input_size=28", "train.batch_size=4"]
    return package.run([*QUICK, *own, "augment=none", *words], quiet=True)


def split_of(run: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The test split, as the run made it."""
    batches = list(make_parts(run.config).plan.test.in_order(100))
    return torch.cat([b.images for b in batches]), torch.cat([b.labels for b in batches])


MODES = ["mean_std", "unit", "caffe", "pixel_mean", "mean_only", "lecun", "none"]


@pytest.mark.parametrize("mode", MODES)
def test_what_is_written_is_read_as_the_same_numbers(tmp_path: Path, mode: str):
    source = Folder(
        photographs(tmp_path), train="train", test="test", input_size=8, interpolation="nearest",
        load_size=12,
    )  # fmt: skip
    data = prepare(
        source, input_size=8, load_size=12, interpolation="nearest", normalize=mode, mean=None,
        std=None, validation_split="none", validation_fraction=None, split_seed=0,
        limit_train=None, limit_test=None,
    )  # fmt: skip
    made = Preparation(data.classes, 3, 12, 12, 8, "nearest", "stretch", 1, mode, data.normalize)
    read = Preparation.of(json.loads(json.dumps(made.plain())))
    assert read._replace(normalize=made.normalize) == made._replace(classes=[*made.classes])
    files = sorted(map(str, (tmp_path / "test").glob("*/*.png")))
    pixels = read.pixels(files)
    assert torch.equal(pixels, data.test.images)
    expected = data.normalize(data.test.images)[:, :, 2:10, 2:10]
    assert torch.equal(read.inputs(pixels), expected)
    assert read.words() == "12×12 pixels by nearest resizing (stretch)"
    twice = read._replace(loaded=8, kept=28, interpolation="pad", fit="crop").words()
    assert twice == "8×8 pixels by bilinear resizing (crop), then 28×28 pixels by pad"


def test_a_folder_predicts_without_its_training_data(workplace: Path):
    root = photographs(workplace / "photos")
    run = trained(root)
    images, labels = split_of(run)
    files = sorted((root / "test").glob("*/*.png"))
    assert torch.equal(package.inputs(run.folder, files), images)
    expected = package.load(run.folder)(images).argmax(1)
    copy = workplace / "elsewhere"
    run.folder.rename(copy)
    kept = [shutil.copy(file, workplace / f"{n}.png") for n, file in enumerate(files)]
    shutil.rmtree(root)
    found = package.predict(copy, kept)
    assert [p.label for p in found] == [["night", "ça va"][i] for i in expected.tolist()]
    right = sum(p.label == ["night", "ça va"][i] for p, i in zip(found, labels, strict=True))
    assert right / len(labels) == run.summary["best"]["test_accuracy"]
    assert found[0].probability == max(found[0].probabilities.values())
    assert sum(found[0].probabilities.values()) == pytest.approx(1)


def test_several_views_of_an_image_are_asked_about_as_in_the_runs_test(workplace: Path):
    root = photographs(workplace / "photos")
    run = trained(root, "dataset.load_size=32", "train.test_crops=10")
    files = sorted((root / "test").glob("*/*.png"))
    truth = [file.parent.name for file in files]
    found = [p.label for p in package.predict(run.folder, files)]
    right = sum(a == b for a, b in zip(found, truth, strict=True))
    assert right / len(files) == run.summary["best"]["test_accuracy"]
    middle = package.inputs(run.folder, files)
    assert middle.shape == (len(files), 3, 28, 28)
    assert package.load(run.folder)(middle).shape == (len(files), 2)


def test_grey_digits_are_read_from_colour_files(workplace: Path):
    run = package.run(QUICK, quiet=True)
    from etude.data.sources.digits import Digits  # noqa: PLC0415

    own = Digits().load().test.images[0, 0].numpy()
    Image.fromarray(own).convert("RGB").save(workplace / "digit.png")
    expected = split_of(package.run([*QUICK, "dataset.limit_test=null"], quiet=True))[0][:1]
    assert torch.allclose(package.inputs(run.folder, workplace / "digit.png"), expected)


def header(file: Path) -> dict[str, Any]:
    content = file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length])["__metadata__"]


def test_the_weights_say_the_same_as_the_folder_and_stand_for_it(workplace: Path):
    run = trained(photographs(workplace / "photos"))
    written = json.loads((run.folder / "inference.json").read_text(encoding="utf-8"))
    told = json.loads(header(run.folder / "best.safetensors")["etude"])
    assert told["inference"] == written
    assert (told["run"], told["epoch"]) == (
        run.summary["fingerprint"], run.summary["best"]["epoch"],
    )  # fmt: skip
    assert written["classes"] == ["night", "ça va"]
    assert len(written["normalize"]["scale"]) == 3
    file = next((workplace / "photos").glob("test/*/*.png"))
    before = package.inputs(run.folder, file)
    (run.folder / "inference.json").unlink()
    assert torch.equal(package.inputs(run.folder, file), before)


def test_a_folder_of_an_earlier_version_says_what_to_do(tmp_path: Path):
    with pytest.raises(UserError, match=r"no inference\.json.*fresh=true makes it again"):
        package.inputs(tmp_path, "a.png")


@pytest.mark.parametrize("told", [{"format": 2}, {"format": 1}, {"format": 1, "normalize": {}}])
def test_what_cannot_be_read_is_told_in_a_line(tmp_path: Path, told: dict[str, Any]):
    (tmp_path / "inference.json").write_text(json.dumps(told))
    with pytest.raises(UserError, match="what a run says of its images"):
        package.inputs(tmp_path, "a.png")
