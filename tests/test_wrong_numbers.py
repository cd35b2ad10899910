"""Numbers that others' programs got wrong without a word; docs/faults.md has the threads."""

import copy
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import SMALL, only_run, summary_of
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn
from torch.nn import functional

import etude as package
from etude.cli.compose import Composer
from etude.cli.words import product
from etude.data.batch import Batch
from etude.data.prepare import prepare
from etude.data.sources.digits import Digits
from etude.data.sources.folder import Folder
from etude.data.sources.source import Labelled, Loaded
from etude.report.read import read
from etude.report.statistics import difference
from etude.runs.records import write_json
from etude.train.builders import make_parts
from etude.train.evaluate import Scorer, evaluate
from etude.train.loop import _train_score
from etude.train.loss import loss_of
from etude.train.record.confusion import ConfusionCounter
from etude.train.schedule.planned import Cosine
from etude.train.step import Step
from etude.train.weight_average import WeightAverage

CPU = torch.device("cpu")
Etude = Callable[..., int]
Log = pytest.LogCaptureFixture


# --- data -------------------------------------------------------------------------------------
class InOrder:
    """The digits, class by class, as files of a folder come."""

    def load(self) -> Loaded:
        train, test, classes, _ = Digits().load()
        order = train.labels.sort(stable=True).indices
        return Loaded(Labelled(train.images[order], train.labels[order]), test, classes)


@pytest.mark.parametrize(("policy", "told"), [("last_fraction", True), ("stratified", False)])
def test_a_class_that_is_asked_about_and_not_learned_is_told(caplog: Log, policy: str, told: bool):
    prepare(
        InOrder(), input_size=None, interpolation="bilinear", normalize="unit", mean=None,
        std=None, validation_split=policy, validation_fraction=0.2, split_seed=0,
        limit_train=None, limit_test=None,
    )  # fmt: skip
    assert ("no image to train on" in caplog.text) == told
    assert ("(8, 9)" in caplog.text) == told


def test_test_images_that_are_learned_from_are_told(workplace: Path, caplog: Log):
    for index, place in enumerate(["train/a", "train/b", "test/a", "test/b"]):
        (workplace / place).mkdir(parents=True)
        Image.new("RGB", (8, 8), (9 * index, 0, 0)).save(workplace / place / "1.png")
    settings: dict[str, Any] = {"train": "train", "test": "test", "input_size": 8}
    folder = Folder(".", interpolation="bilinear", **settings)
    folder.load()
    assert "byte for byte" not in caplog.text
    Image.new("RGB", (8, 8)).save(workplace / "test/b/copy.png")  # as train/a/1.png
    folder.load()
    assert "1 image of train also in test, byte for byte" in caplog.text


# --- scores -----------------------------------------------------------------------------------
def test_scores_in_bfloat16_are_added_up_exactly():
    model, images = nn.Identity(), 3000
    scorer = Scorer(model, CPU)
    logits = torch.zeros(images, 10, dtype=torch.bfloat16)
    logits[:, 3] = 2.0
    for chunk in logits.split(300):
        scorer(Batch(chunk, torch.full((len(chunk),), 3)), chunk)
    loss, accuracy = scorer.score(images)
    assert accuracy == 1.0
    assert loss == pytest.approx(
        float(functional.cross_entropy(logits[:1].double(), torch.tensor([3]))), rel=1e-6
    )


def test_a_smaller_last_batch_counts_by_its_images():
    state: Any = SimpleNamespace(
        steps=3, losses=torch.tensor([1.0, 1.0, 4.0]), correct=torch.tensor([32, 32, 0])
    )
    loss, accuracy = _train_score(state, 65, 32)
    assert loss == pytest.approx((32 + 32 + 4) / 65)
    assert accuracy == pytest.approx(64 / 65)


def test_label_smoothing_is_the_papers_and_is_not_in_the_evaluation(workplace: Path):
    logits, labels = torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 0])
    told = -logits.log_softmax(1)
    own = 0.7 * told.gather(1, labels[:, None])[:, 0] + 0.3 * told.mean(1)
    found = loss_of(nn.Identity(), logits, labels, label_smoothing=0.3)
    assert float(found) == pytest.approx(float(own.mean()))

    made = package.run([*SMALL, "train.label_smoothing=0.3", "precision=float32"], quiet=True)
    parts = make_parts(made.config)
    network = package.load(made.folder, "last")
    (batch,) = parts.plan.test.in_order(1000)
    with torch.inference_mode():
        loss = functional.cross_entropy(network(batch.images), batch.labels)
    assert made.summary["final"]["test_loss"] == pytest.approx(float(loss), rel=1e-5)


def test_batch_norm_scores_an_image_alike_alone_and_among_others(workplace: Path):
    words = ["experiment=resnet_digits", "model.depth=8", "precision=float32"]
    made = package.run([*SMALL, *words], quiet=True)
    test = make_parts(made.config).plan.test
    network = package.load(made.folder, "last")
    scores = [
        evaluate(network, test, device=CPU, precision="float32", batch_size=size)
        for size in (1, 7, 50)
    ]
    assert len({score.accuracy for score in scores}) == 1
    assert scores[0].loss == pytest.approx(scores[2].loss, rel=1e-5)
    assert scores[1].loss == pytest.approx(made.summary["final"]["test_loss"], rel=1e-5)


def test_a_confusion_matrix_has_a_row_for_each_true_class():
    confusion = ConfusionCounter(3, CPU)
    always_two = functional.one_hot(torch.full((5,), 2), 3).float()
    confusion(Batch(always_two, torch.tensor([0, 0, 1, 2, 2])), always_two)
    assert confusion.counts().tolist() == [[0, 0, 2], [0, 0, 1], [0, 0, 2]]


# --- steps ------------------------------------------------------------------------------------
def test_a_gradients_norm_is_clipped_as_it_is_and_not_as_it_is_scaled():
    torch.manual_seed(0)
    one = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    other = copy.deepcopy(one)
    images, labels = torch.randn(6, 1, 4, 4), torch.tensor([0, 1, 2, 0, 1, 2])
    for model, enabled in ((one, False), (other, True)):
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        scaler = torch.amp.GradScaler("cpu", enabled=enabled, init_scale=1024.0)
        step = Step(model, optimizer, scaler=scaler, device=CPU, precision="float32", clip_norm=0.1)
        step(images, labels)
    torch.testing.assert_close(one[1].weight, other[1].weight)


def test_running_statistics_are_averaged_with_the_weights():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    average = WeightAverage(model, decay=1.0)
    seen = []
    for step in range(1, 4):
        model(torch.randn(8, 2) + step)
        seen.append(model[1].running_mean.clone())
        average.update(step)
    torch.testing.assert_close(average.model[1].running_mean, torch.stack(seen).mean(0))
    assert int(average.model[1].num_batches_tracked) == 3


@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_a_cosine_falls_at_every_step_and_ends_with_the_run(scale: float):
    schedule = Cosine(warmup_epochs=0, final_fraction=0.0)
    schedule.bind(base_lr=0.1, steps_per_epoch=7, epochs=round(20 * scale), scale=scale)
    rates = [schedule.lr_at(step) for step in range(7 * round(20 * scale))]
    assert rates[0] == 0.1
    assert all(later < earlier for earlier, later in pairwise(rates))
    assert 0 <= rates[-1] < 0.01


# --- configuration and reports ----------------------------------------------------------------
@pytest.mark.parametrize("written", ["1e-3", "0.001", "1.0e-3", ".001"])
def test_a_rate_in_a_file_is_a_number_however_it_is_written(workplace: Path, written: str):
    place = workplace / "conf" / "experiment"
    place.mkdir(parents=True)
    (place / "mine.yaml").write_text(f"# @package _global_\noptimizer:\n  lr: {written}\n")
    config = package.compose(["experiment=mine"], config_dir="conf")
    assert config.optimizer.lr == 0.001


def test_arms_are_paired_by_seed_and_not_by_place():
    arm, baseline = {0: 0.5, 1: 0.7, 2: 0.6}, {2: 0.5, 0: 0.4, 1: 0.6, 9: 0.1}
    found = difference(arm, baseline)
    assert found is not None
    assert (found.method, found.mean) == ("paired over 3 seeds", pytest.approx(0.1))


def test_a_run_that_is_given_twice_counts_once(workplace: Path):
    score = {"test_accuracy": 0.5}
    made = {"name": "m", "state": "finished", "seed": 0, "final": score, "best": score}
    (workplace / "runs" / "one").mkdir(parents=True)
    write_json(workplace / "runs" / "one" / "summary.json", made)
    (workplace / "linked").symlink_to("runs")
    given = [Path("runs"), Path("linked"), Path("runs/one"), Path("runs/../runs")]
    assert len(read(given)) == 1


def test_tensorboard_has_each_point_once_after_a_kill_before_the_first_checkpoint(
    etude: Etude, workplace: Path
):
    words = [*SMALL, "train.epochs=30", "train.checkpoint_seconds=1000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "etude", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )
    end = time.monotonic() + 60
    while not any(path.read_text() for path in workplace.glob("outputs/*/*/metrics.jsonl")):
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(workplace.glob("outputs/*/*/last.ckpt"))
    assert etude(*words) == 0
    folder = only_run(workplace)
    assert summary_of(folder)["state"] == "finished"
    events = EventAccumulator(str(folder))
    events.Reload()
    assert [event.step for event in events.Scalars("loss/train")] == list(range(1, 31))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("seed: 010", "010 would be read as 8"),
        ("train: {epochs: 1:30}", "1:30 would be read as 90"),
    ],
)
def test_a_number_of_yamls_old_kinds_in_ones_own_file_is_refused(
    etude: Etude, workplace: Path, capsys: pytest.CaptureFixture[str], written: str, said: str
):
    (workplace / "conf" / "experiment").mkdir(parents=True)
    file = workplace / "conf" / "experiment" / "mine.yaml"
    file.write_text(f"# @package _global_\n{written}\n")
    assert etude("--config-dir=conf", "experiment=mine", "--cfg", "job") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "experiment/mine.yaml" in line
    assert f"line 2: {said}" in line
    file.write_text("# @package _global_\nname: '010'\nseed: 0\nl2: 0.0\n")
    assert etude("--config-dir=conf", "experiment=mine", "--cfg", "job") == 0


def test_a_name_that_could_be_a_number_is_kept_as_it_is_written(
    etude: Etude, workplace: Path, capsys: pytest.CaptureFixture[str]
):
    place = workplace / "conf" / "experiment"
    place.mkdir(parents=True)
    (place / "mine.yaml").write_text("# @package _global_\nname: 1e5\n")
    mine = ("--config-dir=conf", "experiment=mine")
    for words in (mine, ("name=1e5",)):
        assert etude(*words, "--cfg", "job") == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "name=100000.0 must be" in line
        assert "in quotes, '1e5'" in line
    (place / "mine.yaml").write_text("# @package _global_\nname: '1e5'\n")
    for words in (mine, ("name='1e5'",)):
        assert package.compose([words[-1]], config_dir="conf").name == "1e5"


def test_a_ranges_steps_are_the_numbers_that_a_person_would_write(composer: Composer):
    words = product(composer.loader, ["optimizer.lr=range(0.1,0.5,0.1)", "seed=range(2)"])
    rates = dict.fromkeys(job[0] for job in words)
    assert list(rates) == [f"optimizer.lr={rate}" for rate in ("0.1", "0.2", "0.3", "0.4")]
    assert {job[1] for job in words} == {"seed=0", "seed=1"}


# --- and again: what is trained on -------------------------------------------------------------
def test_classes_called_by_numbers_keep_their_names(workplace: Path):
    """In the order of their text, 10 comes before 2: names must follow."""
    for part in ("train", "test"):
        for name in ("1", "2", "10"):
            (workplace / part / name).mkdir(parents=True)
            Image.new("RGB", (8, 8), (20 * int(name), 0, 0)).save(workplace / part / name / "1.png")
    settings: dict[str, Any] = {"train": "train", "test": "test", "input_size": 8}
    loaded = Folder(".", interpolation="bilinear", **settings).load()
    images, labels = loaded.test
    assert isinstance(images, torch.Tensor)
    pairs = zip(images, labels, strict=True)
    told = {loaded.classes[int(label)]: int(image[0, 0, 0]) for image, label in pairs}
    assert told == {"1": 20, "2": 40, "10": 200}


def test_every_seed_holds_out_the_same_images(workplace: Path):
    parts = [make_parts(package.compose([*SMALL, f"seed={seed}"])) for seed in (0, 1)]
    held = [next(part.plan.evaluations["validation"].in_order(1000)) for part in parts]
    assert torch.equal(held[0].images, held[1].images)
    assert torch.equal(held[0].labels, held[1].labels)


def test_a_network_learns_in_training_mode_after_each_evaluation(workplace: Path):
    words = ["experiment=resnet_digits", "model.depth=8", "train.epochs=3",
             "dataset.validation_split=stratified"]  # fmt: skip
    made = package.run([*SMALL, *words, "train.batch_size=60"], quiet=True)
    counts = {
        int(value)
        for name, value in package.load(made.folder, "last").state_dict().items()
        if name.endswith("num_batches_tracked")
    }
    assert counts == {3 * 3}  # 180 images, three batches an epoch, and none of the evaluations'
