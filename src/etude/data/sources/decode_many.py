"""Many image files at once: decoded side by side, and those named that cannot be."""

from __future__ import annotations

import json
import logging
import statistics
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from etude.base.atomic import write_text
from etude.base.errors import UserError
from etude.base.lazy import PIL, torch
from etude.base.places import cache_folder
from etude.base.progress import progress
from etude.base.text import counted
from etude.data.sources.decode import Form, read_image

_Result = TypeVar("_Result")
log = logging.getLogger(__name__)

_SHOWN = 20  # files in a message
_LOOKED_AT = 50  # images whose size is read for a suggestion


def decode(paths: Sequence[str], form: Form) -> torch.Tensor:
    """Decode and resize images in threads, which PIL lets run side by side.

    Args:
        paths: N image files.
        form: What each becomes.

    Returns:
        (N, 3, form.size, form.size) uint8.

    Raises:
        UserError: Files are no images, or break off: all of them are named.
    """
    images = torch.empty(len(paths), 3, form.size, form.size, dtype=torch.uint8)
    pixels = images.numpy()

    def fill(index: int) -> UserError | None:
        try:
            pixels[index] = read_image(paths[index], form).transpose(2, 0, 1)
        except UserError as error:
            return error
        return None

    bad = {p: e for p, e in zip(paths, _in_threads(fill, len(paths)), strict=True) if e is not None}
    if len(bad) == 1:
        raise UserError(f"{next(iter(bad.values()))}, or set dataset.on_bad_image=skip")
    if bad:
        raise UserError(
            f"{len(bad)} of {counted(len(paths), 'image')} cannot be decoded: "
            f"{shown_names(bad)}; replace or "
            "remove them, or set dataset.on_bad_image=skip"
        )
    return images


def damaged(paths: Sequence[str], form: Form, key: str) -> set[str]:
    """Name the files that cannot be decoded; which, is kept for the next time.

    Args:
        paths: Image files.
        form: What each would become.
        key: Stands for what they hold, whatever their places.
    """
    place = cache_folder() / f"{key}.damaged.json"
    try:
        known: list[int] = json.loads(place.read_text(encoding="utf-8"))
        return {paths[i] for i in known}
    except (OSError, ValueError, IndexError, TypeError):
        pass

    def is_bad(index: int) -> bool:
        try:
            read_image(paths[index], form)
        except UserError:
            return True
        return False

    bad = [i for i, wrong in enumerate(_in_threads(is_bad, len(paths))) if wrong]
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_text(place, json.dumps(bad))
    except OSError as error:
        log.warning("cache %s cannot be written (%s); the next run looks again", place, error)
    return {paths[i] for i in bad}


def shown_names(paths: Collection[str]) -> str:
    """List files, the first of many."""
    first = sorted(paths)[:_SHOWN]
    more = f" and {len(paths) - len(first)} more" if len(paths) > len(first) else ""
    return f"{', '.join(first)}{more}"


def typical_side(paths: Sequence[str]) -> int | None:
    """Give the median of images' shorter sides, in pixels, by a few of them; None of none."""
    sides: list[int] = []
    for path in paths[:: max(1, len(paths) // _LOOKED_AT)]:
        try:
            with PIL.Image.open(path) as image:
                sides.append(min(image.size))
        except (OSError, SyntaxError, ValueError):  # which is told when it is decoded
            continue
    return int(statistics.median(sides)) if sides else None


def _in_threads(do: Callable[[int], _Result], count: int) -> Iterator[_Result]:
    """Do something with each number, and tell how far it is."""
    # torch's number, as a launcher that packs several jobs on a machine lowers it.
    with (
        progress("decoding images", count) as tell,
        ThreadPoolExecutor(torch.get_num_threads()) as threads,
    ):
        for done, result in enumerate(threads.map(do, range(count)), start=1):
            tell(done)
            yield result
