"""Runs below a folder, whoever made them."""

import os
from collections.abc import Iterator
from pathlib import Path

from etude.runs.names import CRATE, REPLACED, STUDY, SUMMARY
from etude.runs.study import read_plan


def find_runs(root: Path) -> Iterator[Path]:
    """Give the folders of runs in or below a folder, in order.

    Those that a study has planned and made, but that have not begun, are given as well; those that
    were moved aside by `fresh=true` are not, nor are the copies in a bundle below `root`.
    """
    for name, inner, files in os.walk(root):
        path = Path(name)
        aside = REPLACED in path.name or (CRATE in files and path != root)
        if SUMMARY in files or aside:
            inner.clear()
        inner.sort()
        if SUMMARY in files and not aside:
            yield path
        elif STUDY in files:
            yield from _planned(path)


def _planned(folder: Path) -> Iterator[Path]:
    plan = read_plan(folder)
    if plan is not None:
        yield from (folder / name for name in plan.get("runs", {}) if _is_unbegun(folder / name))


def _is_unbegun(folder: Path) -> bool:
    return folder.is_dir() and not (folder / SUMMARY).exists()
