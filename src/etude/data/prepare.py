"""From a source to the splits that a run trains and is measured on."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor

from etude.base.errors import UserError
from etude.base.text import counted, listed
from etude.data.normalize import Normalize, fit
from etude.data.resize import resize
from etude.data.sides import Sides
from etude.data.sources.files import Files
from etude.data.sources.source import Labelled, Loaded, Source
from etude.data.splits import permutation, split

log = logging.getLogger(__name__)


class Data(NamedTuple):
    """A run's data, at the size at which it is kept.

    Attributes:
        train: What is trained on.
        validation: What was cut from it for selection; None without a split.
        test: What the result is measured on.
        classes: Names, in the order of the labels.
        normalize: Fitted to `train` alone, after the cut and the resize.
        channels: Of an image.
        size: Side of what the network sees of an image, in pixels.
        loaded: Side of the source's images, before any resize, in pixels.
        digest: 16 hex digits over the source's images and labels as they were loaded, before any
            limit, split or resize: two runs with one digest had the same data set.
    """

    train: Labelled
    validation: Labelled | None
    test: Labelled
    classes: tuple[str, ...]
    normalize: Normalize
    channels: int
    size: int
    loaded: int
    digest: str


def prepare(
    source: Source,
    *,
    input_size: int | None,
    load_size: int | None = None,
    interpolation: str,
    normalize: str,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    validation_split: str,
    validation_fraction: float | None,
    split_seed: int,
    limit_train: int | None,
    limit_test: int | None,
) -> Data:
    """Load, limit, split and resize a data set, and fit its normalisation.

    Args:
        source: What is loaded.
        input_size: Side of what a network sees, in pixels; None for the images' own.
        load_size: Side that images are resized to, to see a window of them; None for what is seen.
        interpolation: See `resize`.
        normalize: A mode of `normalize.fit`.
        mean: See `normalize.fit`.
        std: See `normalize.fit`.
        validation_split: A policy of `splits.split`.
        validation_fraction: Part of the training images, in (0, 1), that is held out.
        split_seed: Decides the limits' choice and the split.
        limit_train: Images kept for training and validation together, chosen by a seeded
            permutation that does not look at classes; None keeps all.
        limit_test: Likewise for the test part.

    Raises:
        UserError: The source or a setting is at fault.
    """
    loaded = source.load()
    _check_labels(loaded)
    own = loaded.train.images.shape[-1]  # of files: at which they are decoded
    sides = Sides.of(own, input_size=input_size, load_size=load_size)
    kept, held, tested = divide(
        loaded, validation_split, validation_fraction, split_seed, limit_train, limit_test
    )
    _tell_of_classes(kept, tested if held is None else held, validation_split, loaded.classes)
    train, test = (_resized(part, sides.kept, interpolation) for part in (kept, tested))
    return Data(
        train=train,
        validation=None if held is None else _resized(held, sides.kept, interpolation),
        test=test,
        classes=loaded.classes,
        normalize=fit(normalize, train.images, mean, std),
        channels=train.images.shape[1],
        size=sides.seen,
        loaded=own,
        digest=_digest(loaded),
    )


def divide(
    loaded: Loaded,
    policy: str,
    fraction: float | None,
    seed: int,
    limit_train: int | None,
    limit_test: int | None,
) -> tuple[Labelled, Labelled | None, Labelled]:
    """Give what is trained on, what validates, and what is tested on; see `prepare`.

    A validation part of the data set's own takes the place of what would be cut off.
    """
    train = _limit("train", loaded.train, limit_train, seed)
    tested = _limit("test", loaded.test, limit_test, seed)
    if loaded.validation is not None and policy != "none":
        return train, loaded.validation, tested
    return *_cut(train, policy, fraction, seed), tested


def _check_labels(loaded: Loaded) -> None:
    """Refuse labels that have no class: on a GPU they would end in an unreadable assertion."""
    for name, part in (("training", loaded.train), ("test", loaded.test)):
        low, high = (int(label) for label in part.labels.aminmax())
        if low < 0 or high >= len(loaded.classes):
            raise UserError(
                f"the {name} labels run from {low} to {high}, but the data set's "
                f"{len(loaded.classes)} classes are 0 to {len(loaded.classes) - 1}; "
                "replace its label file with the published one"
            )


def _tell_of_classes(
    kept: Labelled, asked: Labelled, policy: str, classes: tuple[str, ...]
) -> None:
    """Say which classes are asked about and not learned: files often come class by class."""
    lost = sorted(set(asked.labels.tolist()) - set(kept.labels.tolist()))
    if lost:
        names = listed([classes[label] for label in lost])
        log.warning(
            "no image to train on for %s (%s), with dataset.validation_split=%s",
            *(counted(len(lost), "class"), names, policy),
        )


def _limit(name: str, part: Labelled, limit: int | None, seed: int) -> Labelled:
    """Keep the first images of a seeded permutation, in the part's own order."""
    if limit is not None and limit < 1:
        raise UserError(f"dataset.limit_{name}={limit} must be at least 1; null keeps all images")
    if limit is None or limit >= len(part.labels):
        return part
    chosen = permutation(len(part.labels), seed)[:limit]
    return _select(part, torch.from_numpy(chosen).sort().values)


def _cut(
    part: Labelled, policy: str, fraction: float | None, seed: int
) -> tuple[Labelled, Labelled | None]:
    """Cut a validation part off; without one, no pixel is copied."""
    kept, held = split(part.labels.numpy(), policy=policy, fraction=fraction, seed=seed)
    if held is None:
        return part, None
    return _select(part, torch.from_numpy(kept)), _select(part, torch.from_numpy(held))


def _select(part: Labelled, indices: Tensor) -> Labelled:
    return Labelled(part.images[indices], part.labels[indices])


def _resized(part: Labelled, size: int, interpolation: str) -> Labelled:
    if isinstance(part.images, Files):  # at their size when they are decoded
        return part
    return Labelled(resize(part.images, size, interpolation), part.labels)


def _digest(loaded: Loaded) -> str:
    """Hash shapes, labels and pixels, at about 1 GB/s; files are known by their sizes and times."""
    if isinstance(loaded.train.images, Files):
        return loaded.train.images.digest
    digest = hashlib.blake2b(digest_size=8)
    for tensor in cast("list[Tensor]", [own for part in loaded.parts() for own in part]):
        digest.update(str(tuple(tensor.shape)).encode())
        digest.update(tensor.contiguous().view(-1).numpy().data)
    return digest.hexdigest()
