"""Loss and accuracy over the epochs, as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from etude.base.atomic import replacing
from etude.train.record.pictures import figure

_PARTS = (("train", "tab:blue"), ("validation", "tab:orange"), ("test", "tab:green"))


def draw(rows: Sequence[Mapping[str, Any]], path: Path, *, title: str) -> None:
    """Draw a run's epochs into a PNG: loss on the left, accuracy on the right."""
    drawing, panels = figure(1, 2, size=(10, 4), layout="constrained")
    for axes, quantity in zip(panels.flat, ("loss", "accuracy"), strict=True):
        for part, colour in _PARTS:
            points = [
                (r["epoch"], r[f"{part}_{quantity}"]) for r in rows if f"{part}_{quantity}" in r
            ]
            if points:
                # A single epoch would be an invisible line.
                axes.plot(
                    *zip(*points, strict=True),
                    color=colour,
                    label=part,
                    marker="." * (len(rows) < 40),
                )
        axes.set_xlabel("epoch")
        axes.set_ylabel("cross-entropy" if quantity == "loss" else quantity)
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
    drawing.suptitle(title, fontsize="medium")
    drawing.axes[0].legend()
    with replacing(path) as temporary:
        drawing.savefig(temporary, format="png", dpi=150)
