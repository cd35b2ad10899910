"""The handwritten digits that come with scikit-learn: 1,797 images of 8x8 pixels, no download.

https://archive.ics.uci.edu/dataset/80, its test part, as `sklearn.datasets.load_digits` gives it.
"""

# ruff: noqa: PLC0415 -- torch and the like load only when images do
from __future__ import annotations

from typing import Any

from etude.data.source import Facts, Labelled, Loaded
from etude.data.splits import split


class Digits:
    """scikit-learn's digits; a fifth, stratified by class, is always the same test part."""

    def facts(self) -> Facts:
        """Tell counts and shape."""
        return Facts(train_images=1437, test_images=360, num_classes=10, channels=1, size=8)

    def load(self) -> Loaded:
        """Read the images, their values 0-16 spread over 0-255."""
        import numpy as np
        import torch
        from sklearn.datasets import load_digits

        bunch: Any = load_digits()  # typed as a tuple or a Bunch
        images = torch.from_numpy(np.rint(bunch.images * (255 / 16)).astype(np.uint8)).unsqueeze(1)
        labels = torch.from_numpy(bunch.target.astype(np.int64))
        # The seed is no setting: results on this data set are compared across runs and machines.
        train, test = split(bunch.target, policy="stratified", fraction=0.2, seed=0)
        return Loaded(
            train=Labelled(images[train], labels[train]),
            test=Labelled(images[test], labels[test]),
            classes=tuple(str(name) for name in bunch.target_names),
        )
