"""A folder means one configuration, one data set, one code; nobody is shown another's results."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from conftest import summary_of
from PIL import Image

from etude.cli.compose import Composer, composing
from etude.config.build import import_from

Etude = Callable[..., int]
Output = pytest.CaptureFixture[str]

QUICK = ["dataset.limit_train=60", "dataset.limit_test=20", "train.epochs=2",
         "record.curves=false", "record.tensorboard=false"]  # fmt: skip
TINY = """
from torch import nn
from layers import size

class Tiny(nn.Module):
    def __init__(self, num_classes, input_size):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(input_size ** 2, size()), nn.ReLU(),
                                    nn.Linear(size(), num_classes))

    def forward(self, images):
        return self.layers(images)
"""


@pytest.fixture
def own(workplace: Path) -> list[str]:
    """A network of one's own, of two files."""
    forget()
    (workplace / "mynets.py").write_text(TINY)
    (workplace / "layers.py").write_text("def size():\n    return 8\n")
    (workplace / "conf" / "model").mkdir(parents=True)
    (workplace / "conf" / "model" / "tiny.yaml").write_text("_target_: mynets.Tiny\n")
    return ["--config-dir=conf", "model=tiny", "packages=[mynets]", *QUICK]


def edit(workplace: Path, size: int) -> None:
    """Change the network."""
    (workplace / "layers.py").write_text(f"def size():\n    return {size}\n")
    forget()


def forget() -> None:
    """Import anew what an earlier command has imported in this process."""
    for name in ("mynets", "layers"):
        sys.modules.pop(name, None)


def runs(workplace: Path) -> list[dict[str, Any]]:
    paths = workplace.glob("outputs/*/*/summary.json")
    return [summary_of(p.parent) for p in sorted(paths, key=lambda p: p.stat().st_mtime)]


def parameters(workplace: Path) -> list[int]:
    return [run["parameters"]["trainable"] for run in runs(workplace)]


def expected(size: int) -> int:
    return 28 * 28 * size + size + size * 10 + 10


def test_an_edited_network_is_another_run_and_it_is_told(
    etude: Etude, own: list[str], workplace: Path, capsys: Output
):
    assert etude(*own) == 0
    capsys.readouterr()
    assert etude(*own) == 0
    assert "finished before" in capsys.readouterr().out
    edit(workplace, 9)
    assert etude(*own) == 0
    output, errors = capsys.readouterr()
    assert "finished before" not in output
    assert "was made with other code of the model; this is another run" in errors
    assert parameters(workplace) == [expected(8), expected(9)]


def test_a_half_done_run_does_not_go_on_with_another_network(
    etude: Etude, own: list[str], workplace: Path
):
    interrupt = [*own, "train.checkpoint_steps=1"]
    assert etude(*interrupt) == 0
    (folder,) = (p.parent for p in workplace.glob("outputs/*/*/summary.json"))
    summary = summary_of(folder)
    (folder / "summary.json").write_text(json.dumps({**summary, "state": "running"}))
    edit(workplace, 9)
    assert etude(*interrupt) == 0
    assert sorted(parameters(workplace)) == [expected(8), expected(9)]
    assert {run["state"] for run in runs(workplace)} == {"running", "finished"}


def test_an_unrelated_file_beside_it_changes_nothing(
    etude: Etude, own: list[str], workplace: Path, capsys: Output
):
    assert etude(*own) == 0
    (workplace / "notes.py").write_text("x = 1\n")
    capsys.readouterr()
    assert etude(*own) == 0
    assert "finished before" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["sweep", "study", "search"])
def test_an_edited_network_is_another_run_in_sweeps_studies_and_searches(
    etude: Etude, own: list[str], workplace: Path, kind: str
):
    (workplace / "conf" / "study").mkdir()
    (workplace / "conf" / "study" / "rates.yaml").write_text(
        "question: Which rate?\nclaim: The lower.\nsource: nobody\nseeds: [0]\n"
        "full: {experiment: lenet5_digits, baseline: low, axes: {rate: "
        "{low: [optimizer.lr=0.001], high: [optimizer.lr=0.01]}}}\n"
    )
    words = {
        "sweep": ["-m", "seed=0,1", *own],
        "study": ["study=rates", *own],
        "search": ["-m", "hydra/sweeper=search", "hydra.sweeper.n_trials=2",
                   "optimizer.lr=interval(0.001,0.01)", *own],
    }[kind]  # fmt: skip
    assert etude(*words) == 0
    assert parameters(workplace) == [expected(8)] * 2
    edit(workplace, 9)
    code = etude(*words)
    if kind == "search":  # its trials are of the network that it began with
        assert code != 0
        assert parameters(workplace) == [expected(8)] * 2
    else:
        assert code == 0
        assert parameters(workplace) == [expected(8)] * 2 + [expected(9)] * 2


def photos(root: Path, seed: int) -> Path:
    """A folder of twelve small images in two classes."""
    draw = numpy.random.default_rng(seed)
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (root / part / name).mkdir(parents=True)
            for number in range(6):
                pixels = draw.integers(256, size=(32, 32, 3), dtype=numpy.uint8)
                Image.fromarray(pixels).save(root / part / name / f"{number}.png")
    return root


FOLDER = ["dataset=folder", "model=cnn4", "dataset.input_size=32", "train.batch_size=4",
          "dataset.validation_split=none", "name=photos", "train.epochs=1",
          "record.curves=false", "record.tensorboard=false"]  # fmt: skip


def test_folders_of_one_name_are_two_data_sets_and_a_moved_one_is_the_same(
    etude: Etude, workplace: Path, capsys: Output
):
    one, other = photos(workplace / "A" / "photos", 0), photos(workplace / "B" / "photos", 1)
    assert etude(*FOLDER, f"dataset.root={one}") == 0
    assert etude(*FOLDER, f"dataset.root={other}") == 0
    assert "was made with other images or labels; this is another run" in capsys.readouterr().err
    assert len(runs(workplace)) == 2
    moved = shutil.move(one, workplace / "elsewhere")
    assert etude(*FOLDER, f"dataset.root={moved}") == 0
    assert "finished before" in capsys.readouterr().out
    assert len(runs(workplace)) == 2


@pytest.mark.parametrize("change", ["pixels", "label", "another image"])
def test_a_folder_whose_images_changed_is_another_data_set(
    etude: Etude, workplace: Path, change: str
):
    root = photos(workplace / "photos", 0)
    assert etude(*FOLDER, f"dataset.root={root}") == 0
    cat = root / "train" / "cat"
    if change == "pixels":
        Image.new("RGB", (32, 32)).save(cat / "0.png")
    elif change == "label":
        (cat / "0.png").rename(root / "train" / "dog" / "9.png")
    else:
        Image.new("RGB", (32, 32)).save(cat / "9.png")
    assert etude(*FOLDER, f"dataset.root={root}") == 0
    assert len(runs(workplace)) == 2


def idx_files(root: Path, seed: int) -> Path:
    draw = numpy.random.default_rng(seed)
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 60), ("t10k", 20)):
        size = count.to_bytes(4, "big")
        side = (28).to_bytes(4, "big")
        images = draw.integers(256, size=count * 28 * 28, dtype=numpy.uint8).tobytes()
        labels = (numpy.arange(count) % 10).astype(numpy.uint8).tobytes()
        head = b"\x00\x00\x08\x03" + size + side + side
        (raw / f"{part}-images-idx3-ubyte").write_bytes(head + images)
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(b"\x00\x00\x08\x01" + size + labels)
    return root


def test_other_idx_files_below_another_root_are_another_data_set(etude: Etude, workplace: Path):
    words = ["dataset=mnist", "train.epochs=1", "record.curves=false", "record.tensorboard=false"]
    for seed, name in enumerate("AB"):
        root = idx_files(workplace / name, seed)
        assert etude(*words, f"dataset.root={root}") == 0
    assert len(runs(workplace)) == 2


def test_other_files_than_the_published_are_not_held_against_the_document(
    etude: Etude, workplace: Path
):
    root = idx_files(workplace / "data", 0)
    words = ["experiment=lenet5_mnist", "train.batch_size=128", f"dataset.root={root}"]
    assert etude(*words[:1], "train.batch_size=20", words[2], *QUICK[3:]) == 0
    (run,) = runs(workplace)
    assert {row["agrees"] for row in run["reference"]} == {None}


def test_a_file_of_weights_counts_by_what_it_holds(etude: Etude, workplace: Path):
    for seed in (5, 6):
        assert etude(f"seed={seed}", "name=first", *QUICK) == 0
    five, six = sorted(workplace.glob("outputs/first/*/best.safetensors"))
    shutil.copy(five, workplace / "body.safetensors")
    words = ["name=second", *QUICK]
    assert etude(*words, "init.weights=body.safetensors") == 0
    assert etude(*words, f"init.weights={workplace}/body.safetensors") == 0
    assert len(list(workplace.glob("outputs/second/*/summary.json"))) == 1
    shutil.copy(six, workplace / "body.safetensors")
    assert etude(*words, "init.weights=body.safetensors") == 0
    assert len(list(workplace.glob("outputs/second/*/summary.json"))) == 2


@pytest.mark.parametrize("state", ["finished", "half-done", "damaged"])
@pytest.mark.parametrize("way", ["hydra.run.dir", "hydra.sweep.subdir"])
def test_a_folder_that_holds_another_run_is_refused_and_left_as_it_is(
    etude: Etude, workplace: Path, capsys: Output, way: str, state: str
):
    place = ["hydra.run.dir=X"] if way == "hydra.run.dir" else [
        "-m", "hydra/launcher=basic", "hydra.sweep.dir=.", "hydra.sweep.subdir=X"]  # fmt: skip
    assert etude(*place, *QUICK, "train.checkpoint_steps=1") == 0
    folder = workplace / "X"
    if state == "half-done":
        summary = summary_of(folder)
        (folder / "summary.json").write_text(json.dumps({**summary, "state": "running"}))
    elif state == "damaged":
        (folder / "summary.json").write_text("{")
    before = files(folder)
    capsys.readouterr()
    assert etude(*place, *QUICK, "optimizer.lr=0.2") != 0
    said = capsys.readouterr()
    if state == "damaged":  # its checkpoint tells
        assert "was begun with fingerprint=" in said.err + said.out
    else:
        assert "X holds another run, with optimizer.lr=0.001 instead of 0.2" in said.err
    assert files(folder) == before


def files(folder: Path) -> dict[str, bytes]:
    """What a folder holds, its log apart."""
    found = (path for path in folder.iterdir() if path.is_file() and path.suffix != ".log")
    return {path.name: path.read_bytes() for path in found}


def test_jobs_of_a_sweep_do_not_share_a_folder(etude: Etude, workplace: Path, capsys: Output):
    assert etude("-m", "seed=0,1", "hydra.sweep.subdir=same", *QUICK) == 2
    assert "would hold runs that differ in seed=0, seed=1" in capsys.readouterr().err
    assert list(workplace.iterdir()) == []


def test_hydras_own_numbering_of_folders_works_and_is_held_against_the_runs(
    etude: Etude, workplace: Path, capsys: Output
):
    words = ["-m", "hydra.sweep.subdir='${hydra.job.num}'", "name=n", *QUICK]
    assert etude(*words, "seed=0,1") == 0
    assert sorted(p.parent.name for p in workplace.glob("outputs/n/*/summary.json")) == ["0", "1"]
    assert etude(*words, "seed=0,1") == 0
    capsys.readouterr()
    assert etude(*words, "seed=1,0") == 2
    assert "outputs/n/0 holds another run, with seed=0 instead of 1" in capsys.readouterr().err


def test_a_checkpoint_of_another_run_is_not_gone_on_with(
    etude: Etude, workplace: Path, capsys: Output
):
    for rate in ("0.01", "0.02"):
        assert etude("name=n", f"optimizer.lr={rate}", "train.checkpoint_steps=1", *QUICK) == 0
    one, other = (next(workplace.glob(f"outputs/n/*lr={rate}*")) for rate in ("0.01", "0.02"))
    shutil.copy(one / "last.ckpt", other / "last.ckpt")
    (other / "last.ckpt.previous").unlink(missing_ok=True)
    (other / "summary.json").write_text(
        json.dumps({**summary_of(other), "state": "running"}), encoding="utf-8"
    )
    assert etude("name=n", "optimizer.lr=0.02", "train.checkpoint_steps=1", *QUICK) == 2
    assert f"was begun with fingerprint={one.name[-8:]}" in capsys.readouterr().err


def test_a_run_from_before_contents_counted_is_recognised_and_told(
    etude: Etude, workplace: Path, capsys: Output
):
    assert etude(*QUICK) == 0
    (folder,) = (p.parent for p in workplace.glob("outputs/*/*/summary.json"))
    summary = summary_of(folder)
    del summary["contents"]
    summary["hyperparameters"]["model._target_"] = "etude.models.lenet.LeNet5"
    summary["fingerprint"] = "0123abcd"
    old = folder.with_name(folder.name[:-8] + "0123abcd")
    folder.rename(old)
    (old / "summary.json").write_text(json.dumps(summary))
    capsys.readouterr()
    assert etude(*QUICK) == 0
    said = capsys.readouterr()
    assert f"{os.path.relpath(old)} was made before runs were known by their data" in said.err
    assert "finished before" not in said.out
    assert len(runs(workplace)) == 2
    assert summary_of(old) == summary


def test_a_network_that_changes_between_planning_and_training_is_not_trained(
    etude: Etude, own: list[str], workplace: Path, capsys: Output
):
    (workplace / "mynets.py").write_text(
        TINY + "\nwith open(__file__, 'a') as file:\n    file.write('# edited meanwhile\\n')\n"
    )
    assert etude(*own) != 0
    assert "model.code: changed since this run was planned" in capsys.readouterr().err
    assert runs(workplace) == []


def test_a_cache_of_pixels_is_another_data_sets_only_if_the_images_are_the_same(
    etude: Etude, workplace: Path
):
    """Names, sizes and times may be the same, as after unpacking two archives."""
    for seed, name in enumerate("AB"):
        root = photos(workplace / name / "photos", seed)
        for path in root.rglob("*.png"):
            Image.open(path).save(path.with_suffix(".bmp"))
            path.unlink()
        for path in root.rglob("*.bmp"):
            os.utime(path, (315532800, 315532800))
        assert etude(*FOLDER, f"dataset.root={root}") == 0
    assert len({run["data"]["digest"] for run in runs(workplace)}) == 2


def test_the_code_of_a_part_inside_a_part_counts_too(etude: Etude, own: list[str], workplace: Path):
    (workplace / "mynets.py").write_text(TINY.replace("input_size):", "input_size, inner=None):"))
    (workplace / "other.py").write_text("def scale():\n    return 1\n")
    words = [*own, "packages=[mynets,other]", "+model.inner={_target_: other.scale}"]
    assert etude(*words) == 0
    (workplace / "other.py").write_text("def scale():\n    return 2\n")
    sys.modules.pop("other", None)
    forget()
    assert etude(*words) == 0
    assert len(runs(workplace)) == 2


def test_an_empty_mapping_is_a_setting(composer: Composer, own: list[str], workplace: Path):
    import_from(workplace)
    (workplace / "mynets.py").write_text(TINY.replace("input_size):", "input_size, options=None):"))
    words = ["packages=[mynets]", "model._target_=mynets.Tiny"]
    (without,), (empty,) = (
        composer.run([*words, *more]).jobs for more in ([], ["+model.options={}"])
    )
    assert without.identity.fingerprint != empty.identity.fingerprint


def test_packages_that_are_followed_belong_to_the_code(composer: Composer, workplace: Path):
    import_from(workplace)
    (workplace / "mynets.py").write_text(TINY.replace("from layers import size", "import libx")
                                         .replace("size()", "8"))  # fmt: skip
    (workplace / "libx").mkdir()
    (workplace / "libx" / "__init__.py").write_text("")
    words = ["model._target_=mynets.Tiny", "packages=[mynets],[mynets,libx]"]
    jobs = composer.sweep(words).jobs
    alone = [
        composer.run([words[0], f"packages={p}"]).jobs[0] for p in ("[mynets]", "[mynets,libx]")
    ]
    assert {job.identity.fingerprint for job in jobs} == {job.identity.fingerprint for job in alone}


def test_two_configurations_with_one_fingerprint_are_told_apart(
    etude: Etude, workplace: Path, capsys: Output
):
    words = ["experiment=lenet5_digits", "dataset.limit_train=200", "dataset.limit_test=50",
             "train.epochs=2", "record.curves=false", "record.tensorboard=false"]  # fmt: skip
    assert etude(*words, "hydra.run.dir=X") == 0
    summary = summary_of(workplace / "X")
    summary["hyperparameters"]["optimizer.lr"] = 0.1000000068749
    (workplace / "X" / "summary.json").write_text(json.dumps(summary))
    assert etude(*words, "hydra.run.dir=X") == 2
    assert "optimizer.lr=0.1000000068749 instead of 0.001" in capsys.readouterr().err


def test_a_folder_with_somebodys_files_is_no_run_folder(
    etude: Etude, workplace: Path, capsys: Output
):
    (workplace / "config.yaml").write_text("mine: 1\n")
    (workplace / "summary.json").write_text("{}")
    assert etude("hydra.run.dir=.", *QUICK) == 2
    assert "holds files that are no run's" in capsys.readouterr().err
    assert (workplace / "config.yaml").read_text() == "mine: 1\n"


def test_an_epoch_that_was_lost_is_not_passed_over(etude: Etude, workplace: Path, capsys: Output):
    words = ["train.checkpoint_steps=1", *QUICK]
    assert etude(*words) == 0
    (folder,) = (p.parent for p in workplace.glob("outputs/*/*/summary.json"))
    (folder / "summary.json").write_text(json.dumps({**summary_of(folder), "state": "running"}))
    rows = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(rows[1:]))
    assert etude(*words) == 2
    assert "has lost epoch 1" in capsys.readouterr().err


def test_a_run_that_begins_with_anothers_weights_names_its_arm_and_its_seed(
    etude: Etude, workplace: Path
):
    texts = []
    for seed in (0, 1):
        assert etude(f"seed={seed}", "name=first", *QUICK) == 0
    for folder in sorted(p.parent for p in workplace.glob("outputs/first/*/summary.json")):
        with composing() as composer:
            (job,) = composer.run([f"init.weights='{folder}'"]).jobs
        texts.append(str(job.identity.decisive["init.weights"]))
    assert len(set(texts)) == 2
    assert len({text.partition("_seed=")[0] for text in texts}) == 1
