"""Words for people about runs; imports nothing slow, so that every command can."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def exact(value: float) -> str:
    """Write a number in few digits where these are exact, or else whole."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def first_line(error: BaseException) -> str:
    """Give the line of an error that says what it is; libraries add pages to it."""
    return str(error).strip().partition("\n")[0]


def near(path: Path) -> str:
    """Shorten a path that is below the working folder."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


def tag(key: str) -> str:
    """Give TensorBoard's tag for a key of `metrics.jsonl`: `test_accuracy` is `accuracy/test`."""
    part, _, quantity = key.partition("_")
    return f"{quantity}/{part}" if part in {"train", "validation", "test"} else f"run/{key}"


def epoch_line(row: Mapping[str, Any], epochs: int) -> str:
    """Put an epoch's metrics into one line."""
    parts = [f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}"]
    for split in ("train", "validation", "test"):
        if f"{split}_loss" in row:
            loss, accuracy = row[f"{split}_loss"], row[f"{split}_accuracy"]
            parts.append(f"{split} loss {loss:.4f} accuracy {accuracy:.4f}")
    return "  ".join([*parts, f"{row['images_per_second']:,.0f} images/s"])
