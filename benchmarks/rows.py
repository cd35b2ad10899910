"""The networks that are timed, and the ratios that are wanted. Imports nothing heavy."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Row:
    """One network with its data, as an experiment of Étude trains it.

    Args:
        name: On the command line and in the results.
        words: What `etude` would be told.
        augment: What the peers do to each image: "", shift, shift_flip or crop_flip_erase.
        batch_size: Images a step.
        steps: Steps of one turn, which for Étude is one epoch.
        rounds: Turns of every contestant.
        workers: Processes that prepare images for a DataLoader: each number is one contestant.
        cuda: Steps of a turn on a GPU.
        goals: Least images/s of Étude's loop over a contestant's: over `bare` at like settings;
            over the peers as a user's run is (precision=auto); in `bfloat16` over Étude's float32.
        goals_graph: Likewise for Étude's captured step on a GPU; `etude` is its eager one.
        is_small: Whether it is only to see that everything runs.
    """

    name: str
    words: tuple[str, ...]
    augment: str = ""
    batch_size: int = 128
    steps: int = 40
    rounds: int = 7
    workers: tuple[int, ...] = (0,)
    cuda: int = 400
    goals: Mapping[str, float] = field(default_factory=dict[str, float])
    goals_graph: Mapping[str, float] = field(default_factory=dict[str, float])
    is_small: bool = False

    def on_cuda(self) -> "Row":
        """Give the row with a GPU's batch and turns; the other goals are a CPU's."""
        return replace(self, batch_size=128, steps=self.cuda, rounds=11, goals={})

    def small(self) -> "Row":
        """Give the row in its smallest form, which runs anywhere in seconds and says nothing."""
        data = ("dataset=digits", "dataset.input_size=32", "dataset.validation_split=none")
        words = (*(word for word in self.words if not word.startswith("dataset")), *data)
        turns = replace(self, batch_size=8, steps=2, rounds=1, goals={}, goals_graph={})
        return replace(turns, words=words, is_small=True)

    @property
    def images(self) -> int:
        """Count the images of a turn."""
        return self.batch_size * self.steps

    def etude_words(self, *, device: str, precision: str, step: str = "eager") -> list[str]:
        """Give the words for a run that lasts for ever, an epoch being one turn."""
        return [
            *self.words,
            f"device={device}",
            f"precision={precision}",
            f"train.step={step}",
            f"train.batch_size={self.batch_size}",
            f"dataset.limit_train={self.images}",
            "dataset.limit_test=100",
            "train.test_every_epoch=false",
            "train.epochs=1000000",
        ]


def form(name: str, device: str, *, small: bool) -> Row:
    """Give a row as it is run."""
    row = ROWS[name].on_cuda() if device == "cuda" else ROWS[name]
    return row.small() if small else row


def cifar10() -> tuple[str, ...]:
    """Choose CIFAR-10 as published, or else the same pictures as files in class folders."""
    import os  # noqa: PLC0415

    data = Path(os.environ.get("ETUDE_DATA") or ROOT / "data")
    if (data / "cifar-10-batches-py").is_dir():
        return ("dataset=cifar10",)
    pictures = data / "cifar10-jpeg"
    return ("dataset=folder", f"dataset.root={pictures}", "dataset.input_size=32")


LENET = Row(
    name="lenet",
    words=("experiment=lenet5_mnist",),
    workers=(0, 2),
    goals={"bare": 0.97, "dataloader": 2.2, "lightning": 2.2, "keras": 1.25, "bfloat16": 1.2},
    goals_graph={"etude": 2.5, "dataloader": 10.0},
)

ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        LENET,
        replace(
            LENET,
            name="lenet_shift",
            words=(*LENET.words, "augment=shift"),
            workers=(0,),
            augment="shift",
            goals={**LENET.goals, "bare": 0.95, "dataloader": 2.6, "lightning": 2.6},
        ),
        Row(
            name="alexnet",
            words=("experiment=alexnet_mnist",),
            steps=3,
            cuda=200,
            goals={
                "bare": 0.97, "dataloader": 1.75, "lightning": 1.75, "keras": 1.15, "bfloat16": 1.7,
            },
        ),
        # A step of 128 images takes five seconds on one core.
        Row(
            name="vgg11",
            words=("experiment=vgg11_mnist",),
            batch_size=16,
            steps=2,
            rounds=4,
            cuda=50,
            goals={"bare": 0.97, "keras": 1.15, "bfloat16": 1.7},
        ),
        Row(
            name="vgg19",
            words=("experiment=vgg19_cifar10", *cifar10(), "dataset.validation_split=none"),
            augment="shift_flip",
            batch_size=16,
            steps=1,
            rounds=4,
            cuda=50,
            goals={"bare": 0.97, "bfloat16": 1.7},
            goals_graph={"bare": 0.95},
        ),
        Row(
            name="resnet20",
            words=(
                "model=resnet_cifar", *cifar10(), "name=resnet20",
                "augment=crop_flip_erase", "init=he_normal", "optimizer=sgd", "optimizer.lr=0.1",
                "optimizer.momentum=0.9", "optimizer.weight_decay=1e-4", "scheduler=constant",
                "dataset.validation_split=none",
            ),
            augment="crop_flip_erase",
            steps=3,
            cuda=200,
            goals={
                "bare": 0.97, "dataloader": 1.8, "lightning": 1.8, "keras": 1.5, "bfloat16": 1.7,
            },
            goals_graph={"etude": 2.5},
        ),
    )
}  # fmt: skip
