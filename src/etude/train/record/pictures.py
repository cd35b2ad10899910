"""Pictures of what goes in and what comes out, as (H, W, 3) uint8."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor

Picture = npt.NDArray[np.uint8]
COLUMNS = 8


def sheet(images: Tensor, captions: Sequence[str]) -> Picture:
    """Put images (N, C, H, W) beside each other, with a caption above each.

    Their values are spread over the greys from the lowest to the highest of all.
    """
    rows = max(1, -(-len(images) // COLUMNS))
    drawing, panels = figure(rows, COLUMNS, size=(1.1 * COLUMNS, 1.3 * rows))
    low, high = (float(images.min()), float(images.max())) if len(images) else (0.0, 1.0)
    for axes in panels.flat:
        axes.set_axis_off()
    for axes, image, caption in zip(panels.flat, images, captions, strict=False):
        pixels = ((image.float() - low) / ((high - low) or 1.0)).permute(1, 2, 0).numpy()
        shown = pixels if pixels.shape[2] == 3 else pixels[:, :, 0]
        axes.imshow(shown, cmap="gray", vmin=0, vmax=1)
        axes.set_title(caption, fontsize=7, pad=2)
    return _pixels(drawing)


def matrix(counts: Tensor, classes: Sequence[str]) -> Picture:
    """Draw a confusion matrix, each row's share of its class as a shade."""
    side = min(12.0, 2.0 + 0.4 * len(classes))
    drawing, panels = figure(1, 1, size=(side, side))
    axes = panels[0, 0]
    shares = (counts / counts.sum(1, keepdim=True).clamp(min=1)).numpy()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.15)
    if len(classes) <= 30:  # more would be unreadable
        axes.set_xticks(range(len(classes)), classes, rotation=90)
        axes.set_yticks(range(len(classes)), classes)
        for row, column in counts.nonzero().tolist():
            colour = "white" if shares[row, column] > 0.6 else "black"
            text = str(int(counts[row, column]))
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour)
    axes.set_xlabel("answer")
    axes.set_ylabel("class")
    return _pixels(drawing)


def figure(
    rows: int,
    columns: int,
    *,
    size: tuple[float, float],
    layout: Literal["tight", "constrained"] = "tight",
) -> tuple[Any, Any]:
    """Make a figure that needs no screen, and its panels (rows, columns).

    Args:
        rows: Of panels.
        columns: Of panels.
        size: Width and height in inches.
        layout: How Matplotlib makes room for labels.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 (0.5 s, only here)
    from matplotlib.figure import Figure  # noqa: PLC0415

    made = Figure(figsize=size, layout=layout)
    FigureCanvasAgg(made)
    return made, made.subplots(rows, columns, squeeze=False)


def _pixels(drawing: Any) -> Picture:
    drawing.canvas.draw()
    return np.asarray(drawing.canvas.buffer_rgba())[:, :, :3].copy()
