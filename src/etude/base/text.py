"""Words for people about runs; imports nothing slow, so that every command can."""

import os
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# Where a line may end within a word: after a setting, before the hash that ends a folder's name.
_BREAKS = re.compile(r"(?<=[_/,])|(?=-[0-9a-f]{8}$)")
_FIXED = "\N{NO-BREAK SPACE}"
_GLUE = re.compile(r" (?=%)|(?<=±) |(?<=\d) (?=to [−+\d])")
_NARROWEST = 12  # characters of a table's first column


def exact(value: float) -> str:
    """Write a number in few digits where these are exact, or else whole."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def counted(number: int, thing: str) -> str:
    """Write `1 run`, `2 runs`."""
    return f"{number:,} {thing if number == 1 else plural(thing)}"


def listed(names: Sequence[str], most: int = 5) -> str:
    """Write names one after the other, the first of many."""
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


def plural(thing: str) -> str:
    """Write a thing's name for several: `runs`, `classes`, `copies`, `epochs`."""
    if thing.endswith("y"):
        return f"{thing[:-1]}ies"
    sibilant = thing.endswith(("s", "ch")) and not thing.endswith("epoch")
    return f"{thing}{'es' if sibilant else 's'}"


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


def arm_of(folder: str) -> str:
    """Give what a run's folder is called, the seed aside: what is special about the run."""
    return folder.rpartition("_seed=")[0] or "as configured"


def trial(arm: str, name: str) -> str:
    """Name an arm's row in TensorBoard's HParams, which cuts off what is long: what differs first.

    Args:
        arm: What its runs' folders are called, the seed aside.
        name: The experiment's or the study's.
    """
    return f"{arm} ({name})"


def tensorboard_setting(value: object) -> str | int | float:
    """Write a setting as HParams shows it: of a target the class, of all but numbers a word."""
    if isinstance(value, bool):
        return str(value).lower()  # as a number, false would be 0.0000
    if isinstance(value, str):
        return value.rpartition(".")[2]
    return value if isinstance(value, int | float) else str(value)


def epoch_line(row: Mapping[str, Any], epochs: int) -> str:
    """Put an epoch's metrics into one line."""
    parts = [f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}"]
    for split in ("train", "validation", "test"):
        if f"{split}_loss" in row:
            loss, accuracy = row[f"{split}_loss"], row[f"{split}_accuracy"]
            parts.append(f"{split} loss {loss:.4f} accuracy {accuracy:.4f}")
    return "  ".join([*parts, f"{row['images_per_second']:,.0f} images/s"])


def glued(text: str) -> str:
    """Keep a number's sign with it, and the end of an interval with its word."""
    return _GLUE.sub(_FIXED, text)


def loose(text: str) -> str:
    """Give a text that was `glued` as it was."""
    return text.replace(_FIXED, " ")


def wrap(text: str, width: int, further: str = "") -> str:
    """Break a sentence between words; a path that is longer than a line stays whole.

    Args:
        text: In one line.
        width: Of a line.
        further: What the further lines begin with.
    """
    lines = textwrap.wrap(
        glued(text), width, subsequent_indent=further,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return loose("\n".join(lines))


def fold(text: str, width: int) -> str:
    """Break a text that is too long for a line, but never a number or a hash."""
    lines = [""]
    words = re.split(r"(?<= )", text)
    parts = [[word] if len(word.rstrip()) <= width else _BREAKS.split(word) for word in words]
    for piece in (piece for own in parts for piece in own):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)


def fold_first(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Fold the first cells of a table, so that its other columns stay whole.

    Args:
        rows: Of texts, the heading included.
        width: Of the table, its edges included; there are two characters between columns.
    """
    others = sum(2 + max(map(len, column)) for column in list(zip(*rows, strict=True))[1:])
    room = max(_NARROWEST, width - 2 - others)
    return [fold(row[0], room) for row in rows]
