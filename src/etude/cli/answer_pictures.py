"""Pictures of an evaluation: the confusion matrix, and how sure answers are that are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from etude.base.atomic import replacing
from etude.train.record.pictures import figure, matrix


def draw(
    folder: Path,
    counts: Sequence[Sequence[int]],
    classes: Sequence[str],
    bins: Sequence[Mapping[str, Any]],
) -> None:
    """Write `confusion.png` and `reliability.png`.

    Args:
        folder: Where to.
        counts: A row for each true class.
        classes: Names.
        bins: Of the calibration.
    """
    with replacing(folder / "confusion.png") as temporary:
        Image.fromarray(matrix(torch.tensor(counts), classes)).save(temporary, format="PNG")
    with replacing(folder / "reliability.png") as temporary:
        _reliability(bins).savefig(temporary, format="png", dpi=120)


def _reliability(bins: Sequence[Mapping[str, Any]]) -> Any:
    """Draw the part that is right over the probability that was given, and how many there are."""
    drawing, panels = figure(2, 1, size=(4.5, 5.5))
    above, below = panels[0, 0], panels[1, 0]
    known = [each for each in bins if each["count"]]
    places = [(each["low"] + each["high"]) / 2 for each in bins]
    width = bins[0]["high"] - bins[0]["low"]
    above.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle="--")
    above.plot([e["confidence"] for e in known], [e["accuracy"] for e in known], marker="o")
    above.set_ylabel("part that is right")
    below.bar(places, [each["count"] for each in bins], width=0.9 * width)
    below.set_ylabel("answers")
    below.set_xlabel("probability of the answer")
    for axes in (above, below):
        axes.set_xlim(0, 1)
    return drawing
