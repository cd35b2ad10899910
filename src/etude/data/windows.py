"""Where an epoch's windows lie in images that are still in their files, for who cuts them out."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from etude.data.augment.crop import Cut
from etude.data.resample import WINDOW_INTERPOLATIONS
from etude.data.sources.decode import Window


class Windows(NamedTuple):
    """One window an image.

    Attributes:
        edges: (N, 4) float64: top, left, bottom and right in parts of an image's side.
        kinds: (N,) int64, places in `WINDOW_INTERPOLATIONS`.
    """

    edges: Tensor
    kinds: Tensor

    @classmethod
    def of(cls, cut: Cut, side: int, own: str) -> Windows:
        """Take over windows that were placed in images of `side` pixels.

        Args:
            cut: The windows.
            side: Of the images.
            own: The data set's interpolation.
        """
        spans = cut.rows, cut.columns
        ends = [span.start + span.length for span in spans]
        edges = torch.stack([*(span.start for span in spans), *ends], dim=1) / side
        kinds = cut.kind
        if not isinstance(kinds, Tensor):
            name = own if kinds == "own" else kinds
            kinds = torch.full((len(edges),), WINDOW_INTERPOLATIONS.index(name))
        return cls(edges, kinds)

    def at(self, part: Tensor) -> list[Window]:
        """Give those of the images at some places, int64 (n,)."""
        chosen = zip(self.edges[part].tolist(), self.kinds[part].tolist(), strict=True)
        return [
            Window(top, left, bottom, right, WINDOW_INTERPOLATIONS[kind])
            for (top, left, bottom, right), kind in chosen
        ]
