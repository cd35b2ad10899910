"""Data of a data set's shape, without a file of it being read."""

from etude.data.normalize import fit
from etude.data.prepare import Data
from etude.data.sources.source import DatasetInfo, Labelled


def stand_in(
    facts: DatasetInfo,
    train: Labelled,
    validation: Labelled | None = None,
    test: Labelled | None = None,
    *,
    size: int,
    normalize: str = "unit",
) -> Data:
    """Make a run's data of made-up images.

    Args:
        facts: Of the data set that they stand for.
        train: What is trained on.
        validation: What is cut from it; None for nothing.
        test: What is tested on; None for the same as is trained on.
        size: Side of what the network sees, in pixels.
        normalize: As `dataset.normalize`.
    """
    return Data(
        train=train,
        validation=validation,
        test=train if test is None else test,
        classes=tuple(map(str, range(facts.num_classes))),
        normalize=fit(normalize, train.images),
        channels=facts.channels,
        size=size,
        loaded=train.images.shape[-1],
        digest="",
    )
