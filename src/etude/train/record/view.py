"""What shows a run while it trains and at its end, beside the files that it leaves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from etude.train.loop import Display
from etude.train.record.answers import Collector
from etude.train.state import State


class View:
    """Show nothing.

    Attributes:
        collector: Is given the best weights' answers to the test split before `finish`; None
            where nobody asks for them.
    """

    collector: Collector | None = None

    def begin(self, state: State) -> None:
        """Show the network and the images that it will learn from."""

    def watched(self, display: Display, folder: Path) -> Display:  # noqa: ARG002
        """Take part in what the display is told; what is kept of it goes into the folder."""
        return display

    def scalars(self, row: Mapping[str, Any]) -> None:
        """Show an epoch's numbers."""

    def epoch(self, state: State) -> None:
        """Show weights and gradients after an epoch."""

    def finish(self, state: State, epoch: int, counts: Tensor | None) -> None:
        """Show what the best weights, now in the model, make of the test split.

        Args:
            state: Holds the model.
            epoch: The one whose weights these are.
            counts: The confusion matrix; None where it was not asked for.
        """
