"""Features of frozen layers that are kept: the same bits as through the layers, or not kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import SMALL, only_run
from PIL import Image
from safetensors.torch import load_file, save_file
from test_resume import assert_same_run
from torch import Tensor, nn
from torchvision import models

from benchmarks.check_steps import AtOnce
from etude.data.batch import Batch
from etude.data.normalize import fit
from etude.data.resident import Resident
from etude.data.sources.digits import Digits
from etude.models.auxiliary import Outputs
from etude.models.googlenet import GoogLeNet
from etude.models.resnet50_transfer import ResNet50Transfer
from etude.models.vgg16_transfer import VGG16Transfer
from etude.runs.records import read_rows
from etude.train import features as kept_features
from etude.train import step
from etude.train.body import changing, cut
from etude.train.evaluate import Score
from etude.train.features import CannotKeep, Features, KeptBatches, through
from etude.train.on_features import OnFeaturesEvaluation
from etude.train.record.gradients import gradients
from etude.train.schedule import Constant
from etude.train.state import State
from etude.train.step import Eager, Step
from etude.train.trained import Trained

Etude = Callable[..., int]
CPU = torch.device("cpu")
PHOTOGRAPHS = Path("data/catdog").absolute()


# --- where a network is cut ----------------------------------------------------------------------


def found(model: nn.Module, *, training: bool) -> Any:
    changes = changing(model.train())
    return cut(model.train(training), changes)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "make",
    [
        lambda: VGG16Transfer(3, 2, input_size=32, hidden=4, dropout=0.0, one_output=True),
        lambda: ResNet50Transfer(3, 2, upsample=2),
        lambda: frozen_but(models.shufflenet_v2_x0_5(num_classes=2), "fc.*"),
    ],
)
def test_body_and_end_one_after_the_other_are_the_network_to_the_bit(make, training: bool):
    torch.manual_seed(0)
    model = make()
    halves = found(model, training=training)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(halves.end(halves.body(images)), model(images))
    assert {id(p) for p in halves.end.parameters()} >= {
        id(p) for p in model.parameters() if p.requires_grad
    }
    assert not any(p.requires_grad for p in halves.body.parameters())


def frozen_but(model: nn.Module, *patterns: str) -> nn.Module:
    Trained(patterns, "evaluate").choose(model)
    return model


def layers(*more: nn.Module) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), *more, nn.Flatten(), nn.Linear(4, 2)
    )


@pytest.mark.parametrize(
    ("model", "at"),
    [
        (frozen_but(layers(), "3.*"), "_2"),
        (frozen_but(layers(nn.Dropout(0.5)), "4.*"), "_1"),
        (frozen_but(layers(nn.Dropout(0.0)), "4.*"), "_3"),
        (frozen_but(layers(), "1.*", "3.*"), "_0"),
        (frozen_but(layers(), "0.bias", "3.*"), None),
        (layers(), None),
    ],
)
def test_the_body_ends_before_what_trains_or_draws(model: nn.Module, at: str | None):
    halves = found(model, training=True)
    assert (halves and halves.at) == at


def test_a_batch_norm_that_follows_its_batches_is_no_body_even_if_nothing_trains_it():
    model = layers()
    model[:2].requires_grad_(requires_grad=False)
    for training in (True, False):
        assert found(model, training=training).at == "_0"


def test_auxiliary_heads_are_learned_from_behind_the_body():
    torch.manual_seed(0)
    model = GoogLeNet(
        3, 2, input_size=32, auxiliary_weight=0.3, dropout=0.0, auxiliary_dropout=0.0, lrn=False,
        stem="small", width=0.1,
    )  # fmt: skip
    halves = found(frozen_but(model, "auxiliaries.*", "classifier.*"), training=True)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        ours, theirs = halves.end(halves.body(images)), model(images)
    assert type(ours) is type(theirs) is Outputs
    assert torch.equal(ours.logits, theirs.logits)
    assert len(ours.auxiliaries) == 2
    assert all(map(torch.equal, ours.auxiliaries.values(), theirs.auxiliaries.values()))


class Forks(nn.Module):
    """Does another thing for every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.end = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.body(images.flatten(1))
        return self.end(hidden if hidden.sum() > 0 else -hidden)


class Beside(nn.Module):
    """Changes something in place whose result nobody asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.end = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.body(images.flatten(1))
        hidden.relu_()
        return self.end(hidden)


@pytest.mark.parametrize("kind", [Forks, Beside])
def test_a_network_that_is_no_graph_of_results_is_left_whole(kind: type[nn.Module]):
    assert found(frozen_but(kind(), "end.*"), training=True) is None


# --- what is kept --------------------------------------------------------------------------------

IMAGES, BATCH = 3 * 16 + 5, 16


def digits(*, last: bool = True) -> Resident:
    train = Digits().load().train
    pixels = train.images[:IMAGES]
    how = {"normalize": fit("unit", pixels), "augment": None, "device": CPU}
    return Resident(pixels, train.labels[:IMAGES], channels_last=last, **how)


def kept(images: Resident, body: Callable[[Tensor], Tensor], *, exact: bool = True) -> Features:
    return Features(images, body, CPU, seed=0, epoch=0, batch_size=BATCH, exact=exact)


def same_epoch(one: Any, other: Any, body: Callable[[Tensor], Tensor], epoch: int) -> bool:
    pairs = list(zip(one.epoch(0, epoch, BATCH), other.epoch(0, epoch, BATCH), strict=True))
    assert len(pairs) == 4
    return all(
        torch.equal(mine.images, body(theirs.images))
        and mine.images.stride() == body(theirs.images).stride()
        and torch.equal(mine.labels, theirs.labels)
        for mine, theirs in pairs
    )


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("tail", [nn.Identity(), nn.Flatten(), nn.AdaptiveAvgPool2d(1)])
def test_batches_are_those_that_the_body_makes_strides_included(last: bool, tail: nn.Module):
    torch.manual_seed(0)
    layout = torch.channels_last if last else torch.contiguous_format
    network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), tail)
    body = through(network.to(memory_format=layout), "float32", CPU)
    images = digits(last=last)
    features = kept(images, body)
    for epoch in (0, 1):
        assert same_epoch(features, images, body, epoch)
    whole = torch.cat([batch.images for batch in features.in_order(BATCH)])
    assert len(whole) == len(features) == IMAGES


def test_the_body_is_not_asked_again_unless_a_smaller_batch_has_other_bits():
    sizes: list[int] = []

    def body(images: Tensor, *, by_size: bool) -> Tensor:
        sizes.append(len(images))
        return images.flatten(1) + (len(images) % 16 if by_size else 0)

    for by_size, asked in ((False, []), (True, [5, 5])):
        images = digits()
        features = kept(images, lambda pixels, by_size=by_size: body(pixels, by_size=by_size))
        assert sizes == [16, 16, 16, 16, 16, 5]  # the last of the split filled up; one of each size
        sizes.clear()
        epochs = [list(features.epoch(0, epoch, BATCH)) for epoch in (1, 2)]
        assert sizes == asked
        last = list(images.epoch(0, 2, BATCH))[-1].images
        assert torch.equal(epochs[1][-1].images, last.flatten(1) + (5 if by_size else 0))
        sizes.clear()


def test_features_that_depend_on_their_place_in_a_batch_are_kept_only_if_bits_may_change():
    def body(images: Tensor) -> Tensor:
        return images.flatten(1) + torch.arange(len(images))[:, None]

    with pytest.raises(CannotKeep, match="depends on its place in a batch"):
        kept(digits(), body)
    assert len(kept(digits(), body, exact=False)) == IMAGES


def test_random_features_are_not_kept_and_leave_the_random_numbers_as_they_were():
    torch.manual_seed(0)
    before = torch.get_rng_state()

    def body(images: Tensor) -> Tensor:
        torch.rand(1)
        return images.flatten(1)

    with pytest.raises(CannotKeep, match="they are random"):
        kept(digits(), body)
    assert torch.equal(torch.get_rng_state(), before)


def test_what_memory_has_no_room_for_is_not_kept(monkeypatch: pytest.MonkeyPatch):
    needed = 4 * 64 * IMAGES
    monkeypatch.setattr(kept_features, "available_memory", lambda _: 2 * needed)
    assert kept(digits(), lambda images: images.flatten(1)).bytes == needed
    monkeypatch.setattr(kept_features, "available_memory", lambda _: 2 * needed - 1)
    with pytest.raises(CannotKeep, match="would take"):
        kept(digits(), lambda images: images.flatten(1))
    evaluated = KeptBatches(digits(), lambda images: images.flatten(1))
    for _ in range(2):
        assert sum(len(batch.labels) for batch in evaluated.in_order(BATCH)) == IMAGES
    assert not evaluated._kept


def test_an_end_that_works_in_place_leaves_an_evaluations_features_as_they_are():
    evaluated = KeptBatches(digits(), lambda images: images.flatten(1))
    seen = [[batch.images.mul_(2).clone() for batch in evaluated.in_order(BATCH)] for _ in range(3)]
    assert all(map(torch.equal, seen[0], seen[1]))
    assert all(map(torch.equal, seen[1], seen[2]))


@pytest.mark.parametrize("runner", [Eager, AtOnce])
def test_steps_on_features_are_the_steps_through_the_body(runner: type):
    """A captured step, done at once, reads features as it reads images."""
    weights = []
    for cached in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Dropout(), nn.Linear(144, 10))
        frozen_but(model, "3.*").train()
        images, halves = digits(), found(model, training=True)
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
        scaler = torch.amp.GradScaler("cpu", enabled=False)
        each = Step(model, optimizer, scaler=scaler, device=CPU, precision="float32")
        schedule = Constant()
        schedule.bind(base_lr=0.1, steps_per_epoch=4, epochs=2, scale=1.0)
        state = State(model, optimizer, scaler, schedule, CPU, 4)
        if cached:
            each = each.of_features(halves.end)
            images = kept(images, through(halves.body, "float32", CPU))
        steps = runner(each)
        for state.epoch in range(2):
            state.step = 0
            steps.begin(state, images, seed=0, batch_size=BATCH)
            while state.step < 4:
                steps.advance(state)
        weights.append([state.losses.clone(), *(p.detach().clone() for p in model.parameters())])
    assert all(map(torch.equal, *weights))


def test_gradients_between_epochs_are_those_of_the_whole_network():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Dropout(), nn.Linear(144, 10))
    changes = changing(frozen_but(model, "3.*").train())
    batch = digits().some(torch.arange(7))
    how = {"precision": "float32", "label_smoothing": 0.1}
    whole = gradients(model, batch, **how)
    shorter = OnFeaturesEvaluation(lambda *_: Score(0, 0), changes, "float32", CPU)
    end, features = shorter.behind(model, batch.images)
    ours = gradients(end, Batch(features, batch.labels), **how)
    assert end is not model
    assert whole.keys() == ours.keys() == {"3.weight", "3.bias"}
    assert all(torch.equal(whole[name], ours[name]) for name in whole)


# --- whole runs ----------------------------------------------------------------------------------

VGG = [
    "model=vgg_cifar", "model.variant=A", "model.width=0.05", "model.hidden=16",
    "dataset.input_size=32", "train.batch_size=34", "train.epochs=2",
]  # fmt: skip
HEAD = [*VGG, "augment=none", "train.trainable=['classifier.*']"]


RBF = ["model=lenet5_1998", "dataset.input_size=32", "train.trainable=['layers.f6.*']"]


def one(workplace: Path, name: str) -> Path:
    return next((workplace / "outputs" / name).iterdir())


def computed_once(folder: Path) -> bool:
    return "frozen layers: computed once" in (folder / "run.log").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "extra",
    [
        ["precision=bfloat16", "train.average_decay=0.9", "train.test_every_epoch=true"],
        ["train.trainable=['classifier.*','*stage5*']", "train.clip_norm=0.1", "l2=0.001"],
    ],
)
def test_a_run_on_kept_features_is_the_run_through_the_frozen_layers(
    etude: Etude, workplace: Path, extra: list[str]
):
    words = [*SMALL, *HEAD, "model.dropout=0.5", *extra]
    assert etude(*words, "name=kept") == 0
    assert etude(*words, "name=through", "train.cache_features=false") == 0
    kept_run, through_run = one(workplace, "kept"), one(workplace, "through")
    assert computed_once(kept_run)
    assert not computed_once(through_run)
    assert_same_run(kept_run, through_run)


def test_a_run_that_goes_on_computes_its_features_again(
    etude: Etude, workplace: Path, monkeypatch: pytest.MonkeyPatch
):
    words = [*SMALL, *HEAD, "train.checkpoint_steps=1"]
    assert etude(*words, "name=whole") == 0
    train, done = step.Step.__call__, 0

    def counted(self: step.Step, *batch: Tensor, **how: Any) -> Any:
        nonlocal done
        done += 1
        if done == 9:  # in the middle of the second epoch
            raise KeyboardInterrupt
        return train(self, *batch, **how)

    monkeypatch.setattr(step.Step, "__call__", counted)
    assert [etude(*words, "name=cut") for _ in range(2)] == [130, 0]
    assert_same_run(one(workplace, "whole"), one(workplace, "cut"))
    assert (one(workplace, "cut") / "run.log").read_text().count("computed once") == 2


@pytest.mark.gpu
@pytest.mark.parametrize("kept", ["auto", "true"])
def test_captured_steps_learn_from_kept_features(etude: Etude, workplace: Path, kept: str):
    words = [*SMALL, *HEAD, "device=cuda", "train.step=graph", "train.compile=false"]
    exact = ["precision=float32"]
    assert etude(*words, *exact, "name=kept", f"train.cache_features={kept}") == 0
    assert etude(*words, *exact, "name=through", "train.cache_features=false") == 0
    kept_run, through_run = one(workplace, "kept"), one(workplace, "through")
    assert computed_once(kept_run) or kept == "auto"
    losses = [[row["train_loss"] for row in read_rows(run)] for run in (kept_run, through_run)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.fixture
def noise(workplace: Path) -> list[str]:
    """A folder of coloured images that mean nothing, and the words for it."""
    generator = torch.Generator().manual_seed(0)
    for part, count in (("train", 20), ("test", 6)):
        for index in range(count):
            pixels = torch.randint(256, (32, 32, 3), generator=generator, dtype=torch.uint8)
            path = workplace / "made" / part / f"class{index % 2}" / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.numpy()).save(path)
    return [
        "dataset=folder", "dataset.root=made", "dataset.name=made", "dataset.input_size=32",
        "dataset.mean=[0.5,0.5,0.5]", "dataset.std=[0.2,0.2,0.2]", "augment=none",
        "train.epochs=2", "train.batch_size=7",
    ]  # fmt: skip


def test_streamed_images_are_decoded_once(etude: Etude, workplace: Path, noise: list[str]):
    for name, kept in (("kept", "auto"), ("through", "false")):
        own = [f"name={name}", f"train.cache_features={kept}", "dataset.stream=true"]
        assert etude(*HEAD, *noise, *own) == 0
    assert computed_once(one(workplace, "kept"))
    assert_same_run(one(workplace, "kept"), one(workplace, "through"))


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_any_file_of_a_torchvision_network_is_a_body(
    etude: Etude, workplace: Path, noise: list[str], ending: str
):
    torch.manual_seed(0)
    theirs = models.shufflenet_v2_x0_5().state_dict()  # of ImageNet's thousand classes
    if ending == "pth":
        torch.save(theirs, "body.pth")
    else:
        save_file(theirs, "body.safetensors")
    network = ["model=lenet5", "model._target_=torchvision.models.shufflenet_v2_x0_5"]
    words = [*network, f"init.weights=body.{ending}", "train.trainable=['fc.*']"]
    assert etude(*noise, *words) == 0
    folder = only_run(workplace)
    ours = load_file(folder / "best.safetensors")
    same = {n for n in theirs if n in ours and torch.equal(ours[n], theirs[n])}
    assert {n for n in theirs if not n.endswith("batches_tracked")} - same == {
        "fc.weight",
        "fc.bias",
    }
    assert computed_once(folder)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([*HEAD, "augment=shift"], "augmentation makes other images for each"),
        (VGG, "VGG has no frozen layers that all others come after"),
        ([*RBF, "augment=none"], "LeNet5Of1998 has a loss of its own"),
    ],
)
def test_what_cannot_be_kept_is_refused_where_it_is_asked_for(
    etude: Etude, workplace: Path, capfd: pytest.CaptureFixture[str], words, reason: str
):
    assert etude(*SMALL, *words, "train.cache_features=true") == 2
    error = capfd.readouterr().err
    assert "train.cache_features=true: " in error
    assert reason in error
    assert not list(workplace.glob("outputs/*/*/summary.json"))


def test_the_switch_is_part_of_the_runs_identity_but_for_its_default(composer):
    def decisive(*words: str) -> Any:
        (job,) = composer.run([*HEAD, *words]).jobs
        return job.identity.decisive

    assert "train.cache_features" not in decisive()
    assert decisive("train.cache_features=true")["train.cache_features"] == "true"


def test_parts_of_a_batch_keep_their_own_bits(
    etude: Etude, workplace: Path, capfd: pytest.CaptureFixture[str]
):
    assert etude(*SMALL, *HEAD, "train.accumulate=2", "train.epochs=1") == 0
    told = " ".join(str(capfd.readouterr()).split())
    assert "computed in every epoch: a batch is computed in 2 parts" in told


# --- document 002 --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="needs document 002's photographs")
def test_the_second_epoch_on_vgg_16s_features_takes_under_a_tenth_of_the_first(
    etude: Etude, workplace: Path
):
    """Random values in torchvision's layout, photographs as the document has them."""
    torch.manual_seed(0)
    state = models.vgg16().state_dict()
    torch.save({n: v for n, v in state.items() if n.startswith("features")}, "vgg16.pth")
    words = [
        "experiment=vgg16_catdog", f"dataset.root={PHOTOGRAPHS}", "init.weights_file=vgg16.pth",
        "train.epochs=2", "device=cpu",
    ]  # fmt: skip
    assert etude(*words) == 0
    first, second = (row["seconds"] for row in read_rows(only_run(workplace)))
    assert second < first / 10
