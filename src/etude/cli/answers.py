"""What a run's network answers about a whole split, or about a folder of images by class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from etude.base.digests import digests_of_files
from etude.base.errors import UserError
from etude.base.text import listed
from etude.cli.answer_pictures import draw
from etude.cli.inference import Trained
from etude.cli.load import Weights
from etude.cli.recorded import recorded
from etude.config import Config, check, settings, source_of
from etude.config.schema import DATASET
from etude.data.batch import Split
from etude.data.prepare import divide
from etude.data.sources.listing import Listing, list_images
from etude.data.sources.source import Labelled, Loaded
from etude.runs.records import Summary, read_summary
from etude.train.builders import load_data, make_plan
from etude.train.evaluate import ask
from etude.train.record.answers import Collector

__all__ = ["Asked", "ask_folder", "ask_split", "draw"]
SPLITS = ("test", "validation", "train")
_CPU = torch.device("cpu")


class Asked(NamedTuple):
    """A network's answers to images with known classes.

    Attributes:
        classes: Names, in the order of the probabilities.
        probabilities: (N, classes).
        labels: (N,) int64, the true classes.
        files: Of the images; empty where they come from no files of their own.
    """

    classes: Sequence[str]
    probabilities: Tensor
    labels: Tensor
    files: Sequence[str]

    @property
    def taken(self) -> Tensor:
        """What each image is taken for, (N,) int64."""
        return self.probabilities.argmax(1)

    @property
    def right(self) -> list[bool]:
        """Whether each image is told right."""
        return (self.taken == self.labels).tolist()

    def same_images(self, other: Asked) -> bool:
        """Say whether another was asked about the same images, in the same order."""
        return self._names() == other._names() and _digests(self.files) == _digests(other.files)

    def _names(self) -> list[str]:
        """Name each image's class: equal numbers may stand for other classes."""
        labels: list[int] = self.labels.tolist()
        return [self.classes[label] for label in labels]

    def losses(self) -> Tensor:
        """Give each image's cross-entropy, (N,) float64."""
        return functional.nll_loss(
            self.probabilities.double().clamp(min=1e-38).log(), self.labels, reduction="none"
        )

    def counts(self) -> list[list[int]]:
        """Count which class is taken for which, a row for each true class."""
        classes = len(self.classes)
        cells = (self.labels * classes + self.taken).bincount(minlength=classes**2)
        return cells.view(classes, classes).tolist()


def ask_split(folder: Path, split: str, weights: Weights, packages: Sequence[str]) -> Asked:
    """Ask about a split of the data that a run was made with, prepared as the run prepared it.

    Raises:
        UserError: The folder lacks something, the data is not here or is another, or there is no
            such split.
    """
    trained = Trained.of(folder, weights, packages)
    config, summary = _config(folder, packages), read_summary(folder)
    try:
        data = load_data(config)
    except UserError as error:
        raise UserError(f"{error}; or ask about class folders with --data FOLDER") from error
    _check_same(summary, data.digest, folder)
    asked = {"test": data.test, "train": data.train, "validation": data.validation}[split]
    if asked is None:
        raise UserError(f"{folder} has no validation split; --split test or train")
    # In the place of the test: as they are, not as they were augmented.
    plan = make_plan(config, data._replace(test=asked), _CPU, trained.precision)
    answers = _answers(trained, plan.tested(trained.network), plan.test, plan.eval_batch_size)
    return Asked(data.classes, *answers, _files(config, split))


def ask_folder(
    folder: Path, data: Path, split: str, weights: Weights, packages: Sequence[str]
) -> Asked:
    """Ask about images in a folder of classes, whichever the run was made with.

    Args:
        folder: The run's.
        data: Holds class folders, or a part named as the split is that holds them.
        split: See `SPLITS`.
        weights: See `etude.load`.
        packages: See `etude.load`.

    Raises:
        UserError: The folder lacks something, or there are classes that the run does not know.
    """
    trained = Trained.of(folder, weights, packages)
    part = data / split
    listing = list_images(part if part.is_dir() else data)
    classes = list(trained.preparation.classes)
    if strange := [name for name in listing.classes if name not in classes]:
        raise UserError(
            f"--data {data}: class {strange[0]} is none of the run's ({listed(classes, most=10)})"
        )
    files = [image.path for image in listing.images]
    rows = [[*each.probabilities.values()] for each in trained.predictions(files)]
    labels = [classes.index(listing.classes[label]) for label in listing.labels]
    return Asked(classes, torch.tensor(rows), torch.tensor(labels), files)


def _answers(
    trained: Trained, asked: torch.nn.Module, split: Split, batch_size: int
) -> tuple[Tensor, Tensor]:
    collector = Collector(0)
    how: Any = {"device": _CPU, "precision": trained.precision, "batch_size": batch_size}
    ask(asked, split, collector, **how)
    answers = collector.answers()
    return answers.probabilities, answers.labels


def _config(folder: Path, packages: Sequence[str]) -> Config:
    """Read a run's configuration; on this machine's CPU, whatever it was trained on."""
    config = check({**recorded(folder), "packages": [*packages]})
    train = replace(config.train, compile="false", step="auto")
    return replace(config, device="cpu", train=train)


def _check_same(summary: Summary | None, digest: str, folder: Path) -> None:
    then = summary and summary["data"].get("digest")
    if then and then != digest:
        raise UserError(
            f"{folder} was made with other images than those of its dataset.root today; put these "
            "back, or ask about a folder of classes with --data"
        )


def _files(config: Config, split: str) -> list[str]:
    """Name the images of a split in its order; nothing of a data set that has no files of images.

    They are divided as the images are, by their places in the whole.
    """
    source = source_of(config)
    if not hasattr(source, "taken"):
        return []
    found = source.taken()
    parts: dict[str, Listing | None] = {
        "train": found.train, "test": found.test, "validation": found.validation,
    }  # fmt: skip
    places = {name: _places(part) for name, part in parts.items() if part is not None}
    loaded = Loaded(places["train"], places["test"], (), places.get("validation"))
    dataset = settings(config.dataset)
    asked = {key: dataset[key] for key in DATASET}
    train, held, test = divide(
        loaded,
        *(asked[k] for k in ("validation_split", "validation_fraction", "split_seed")),
        *(asked[k] for k in ("limit_train", "limit_test")),
    )
    chosen = {"train": train, "test": test, "validation": held}[split]
    own = parts[split]
    whole = own if own is not None else found.train  # validation that was cut off
    if chosen is None or not isinstance(chosen.images, Tensor):
        return []
    return [whole.images[place].path for place in chosen.images.tolist()]


def _digests(files: Sequence[str]) -> list[str]:
    """Tell images by what they hold, as the same ones may lie in two places."""
    if not files:
        return []
    shared = Path(os.path.commonpath(files))
    root = shared if shared.is_dir() else shared.parent
    return [*digests_of_files(root, [os.path.relpath(file, root) for file in files]).values()]


def _places(part: Listing) -> Labelled:
    """Stand for images by their places."""
    return Labelled(torch.arange(len(part.labels)), torch.tensor(part.labels, dtype=torch.int64))
