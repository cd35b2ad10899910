"""The handwritten digits that come with scikit-learn: 1,797 images of 8x8 pixels, no download.

https://archive.ics.uci.edu/dataset/80, its test part, as `sklearn.datasets.load_digits` gives it.
"""

from importlib.util import find_spec
from pathlib import Path

from etude.base.errors import UserError
from etude.base.lazy import np, torch
from etude.data.sources.source import DatasetInfo, Labelled, Loaded
from etude.data.splits import split


class Digits:
    """scikit-learn's digits; a fifth, stratified by class, is always the same test part."""

    def facts(self) -> DatasetInfo:
        """Tell counts and shape."""
        return DatasetInfo(train_images=1437, test_images=360, num_classes=10, channels=1, size=8)

    def content(self) -> None:
        """Leave it to the name: scikit-learn's table is what is read."""

    def load(self) -> Loaded:
        """Read the images, their values 0-16 spread over 0-255."""
        table = np.loadtxt(_file(), delimiter=",")
        pixels = np.rint(table[:, :64] * (255 / 16)).astype(np.uint8)
        digits = table[:, 64].astype(np.int64)
        images, labels = torch.from_numpy(pixels).view(-1, 1, 8, 8), torch.from_numpy(digits)
        # The seed is no setting: results on this data set are compared across runs and machines.
        train, test = split(digits, policy="stratified", fraction=0.2, seed=0)
        return Loaded(
            train=Labelled(images[train], labels[train]),
            test=Labelled(images[test], labels[test]),
            classes=tuple("0123456789"),
        )


def _file() -> Path:
    """Find scikit-learn's table: 64 pixels and the digit a row. Importing it takes a second."""
    spec = find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("dataset=digits reads a file of scikit-learn's; pip install scikit-learn")
    return Path(spec.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
