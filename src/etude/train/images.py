"""What a run's images are, as its summary and its network's users are told."""

from typing import NamedTuple, Self

from etude.config import Config, settings
from etude.data.preparation import Preparation
from etude.data.prepare import Data


class Images(NamedTuple):
    """Which images a run has, and how many of them in each split.

    Attributes:
        digest: Of the data set as it was loaded.
        root: Its folder, as configured; None if it needs none.
        train: Images to learn from.
        validation: Images that select, 0 without such a split.
        test: Images that the result is measured on.
        channels: Of an image.
        classes: Of the data set.
        size: Side of what the network sees of an image, in pixels.
    """

    digest: str
    root: str | None
    train: int
    validation: int
    test: int
    channels: int
    classes: int
    size: int

    @classmethod
    def of(cls, config: Config, data: Data) -> Self:
        """Count them."""
        return cls(
            digest=data.digest,
            root=settings(config.dataset).get("root"),
            train=len(data.train.labels),
            validation=0 if data.validation is None else len(data.validation.labels),
            test=len(data.test.labels),
            channels=data.channels,
            classes=len(data.classes),
            size=data.size,
        )


def preparation_of(config: Config, data: Data) -> Preparation:
    """Say what becomes of an image before the network sees it."""
    dataset = settings(config.dataset)
    return Preparation(
        classes=data.classes,
        channels=data.channels,
        loaded=data.loaded,
        kept=data.train.images.shape[-1],
        seen=data.size,
        interpolation=dataset["interpolation"],
        fit=dataset.get("fit", "stretch"),
        views=config.train.test_crops,
        mode=dataset["normalize"],
        normalize=data.normalize,
    )
