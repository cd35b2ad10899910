"""A run's folder put to use: image files in, probabilities out; the training data is not needed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from etude.base.errors import UserError
from etude.cli.load import Learned, Weights, load_and_tell
from etude.data.preparation import Preparation
from etude.runs.names import BEST, INFERENCE
from etude.runs.records import read_json, read_summary
from etude.train.hardware import autocast
from etude.train.test_time_views import MeanOfViews
from etude.train.weights_file import told_of

_BATCH = 64  # images
_CPU = torch.device("cpu")
Paths = str | Path | Sequence[str | Path]


class Prediction(NamedTuple):
    """What a network takes an image for.

    Attributes:
        path: The image's file.
        label: The likeliest class.
        probability: Of that class.
        probabilities: Of every class.
    """

    path: str
    label: str
    probability: float
    probabilities: Mapping[str, float]

    def top(self, count: int) -> list[tuple[str, float]]:
        """Give the likeliest classes, the first of them first."""
        return sorted(self.probabilities.items(), key=lambda pair: -pair[1])[:count]


@dataclass(frozen=True, eq=False)
class Trained:
    """A run's network, ready for image files.

    Args:
        network: In evaluation mode, on the CPU.
        preparation: What becomes of an image.
        precision: That it was evaluated in.
        learned: For how long.
    """

    network: nn.Module
    preparation: Preparation
    precision: str
    learned: Learned

    @classmethod
    def of(cls, folder: Path, weights: Weights = "best", packages: Sequence[str] = ()) -> Self:
        """Read a run's folder.

        Raises:
            UserError: See `etude.load` and `preparation_of`.
        """
        network, learned = load_and_tell(folder, weights, packages=packages)
        summary = read_summary(folder)
        precision = summary["precision"] if summary else "float32"
        return cls(network, preparation_of(folder), precision, learned)

    def logits(self, inputs: Tensor) -> Tensor:
        """Ask about inputs, as `Preparation.viewed` gives them: (N, classes) float32."""
        prepared = self.preparation
        asked = self.network
        if prepared.views > 1:
            asked = MeanOfViews(self.network, count=prepared.views, size=prepared.seen).eval()
        with torch.inference_mode(), autocast(self.precision, _CPU):
            return asked(inputs).float()

    def predictions(self, paths: Sequence[str]) -> Iterator[Prediction]:
        """Ask about image files, some at a time.

        Raises:
            UserError: One cannot be decoded.
        """
        for start in range(0, len(paths), _BATCH):
            part = paths[start : start + _BATCH]
            logits = self.logits(self.preparation.viewed(self.preparation.pixels(part)))
            for path, row in zip(part, logits.softmax(1).tolist(), strict=True):
                known = dict(zip(self.preparation.classes, row, strict=True))
                label = max(known, key=known.__getitem__)
                yield Prediction(path, label, known[label], known)


def preparation_of(folder: Path) -> Preparation:
    """Read what becomes of an image, from a run's folder or from its best weights.

    Raises:
        UserError: Neither says so.
    """
    told: Any = read_json(folder / INFERENCE) or told_of(folder / BEST).get("inference")
    if not isinstance(told, dict):
        raise UserError(
            f"{folder} has no {INFERENCE}, as those of earlier versions: what becomes of an image "
            "is not told; the run's command with fresh=true makes it again"
        )
    return Preparation.of(told)


def inputs(folder: str | Path, images: Paths) -> Tensor:
    """Turn image files into what a run's network takes: (N, C, H, W) float32.

    Of a run that is tested on several views of an image it is the middle one; `predict` asks about
    them all.

    Args:
        folder: The run's, from this machine or another.
        images: A path, or several.

    Raises:
        UserError: The folder does not say how, or an image cannot be decoded.
    """
    prepared = preparation_of(Path(folder))
    return prepared.inputs(prepared.pixels(_paths(images)))


def predict(
    folder: str | Path, images: Paths, weights: Weights = "best", *, packages: Sequence[str] = ()
) -> list[Prediction]:
    """Say what image files show, by a run's network; the training data is not needed.

    Args:
        folder: The run's, from this machine or another.
        images: A path, or several.
        weights: See `etude.load`.
        packages: See `etude.load`.

    Raises:
        UserError: The folder lacks something, or an image cannot be decoded.
    """
    return list(Trained.of(Path(folder), weights, packages).predictions(_paths(images)))


def _paths(images: Paths) -> list[str]:
    given = [images] if isinstance(images, str | Path) else images
    return [os.fspath(path) for path in given]
