"""Several views of every image at the final test, as the papers have it: ten crops, or a mirror.

Krizhevsky et al. 2012, section 4.1: the windows in the four corners and in the middle, and their
mirror images; the probabilities that the network gives to them are averaged.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from etude.base.errors import UserError
from etude.data.augment.gather import central
from etude.train.loss import OwnLoss


class MeanOfViews(nn.Module):
    """Ask a network about several views of images, one view after the other.

    Args:
        network: Takes images (N, C, size, size).
        count: 1 for the middle, 2 for the middle and its mirror image, 10 for all.
        size: Side of a view, in pixels.
    """

    def __init__(self, network: nn.Module, *, count: int, size: int) -> None:
        super().__init__()
        self.network = network
        self.count = count
        self.size = size

    def forward(self, images: Tensor) -> Tensor:
        """Map images (N, C, H, W) to the logarithms of the mean probabilities, (N, classes)."""
        answers = [self.network(view).float().log_softmax(1) for view in self._views(images)]
        return torch.stack(answers).logsumexp(0) - math.log(self.count)

    def _views(self, images: Tensor) -> Iterator[Tensor]:
        """Give the views, the middle as it is the last: what is kept of one is kept of it."""
        size = self.size
        windows = [central(images, size)]
        if self.count > 2:
            ends = slice(size), slice(-size, None)
            windows = [images[:, :, rows, columns] for rows in ends for columns in ends] + windows
        for window in windows:
            if self.count > 1:
                yield window.flip(3)
            yield window


def check_test_views(model: nn.Module, count: int, *, kept: int, seen: int) -> None:
    """Refuse views that a network or a data set cannot give.

    Args:
        model: What is tested.
        count: Views of an image.
        kept: Side of the data set's images, in pixels.
        seen: Side of what the network sees of them.

    Raises:
        UserError: They do not go together.
    """
    if count == 1:
        return
    if count > 2 and kept == seen:
        raise UserError(
            f"train.test_crops={count} has no corners to look at: dataset.load_size must be above "
            f"{seen}, dataset.input_size; or set train.test_crops=2 for mirror images alone"
        )
    if isinstance(model, OwnLoss):
        raise UserError(
            f"train.test_crops={count} averages probabilities, and {type(model).__name__} has a "
            "loss of its own; set train.test_crops=1"
        )
