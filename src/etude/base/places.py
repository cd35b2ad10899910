"""Where things are kept: the shipped configuration, and what can be made again."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import etude
from etude.base import atomic
from etude.base.errors import UserError


def outputs_folder() -> str:
    """Name the folder that all results go below: `$ETUDE_OUTPUTS`, else `outputs`."""
    return os.path.expanduser(os.environ.get("ETUDE_OUTPUTS") or "outputs")  # noqa: PTH111


def cache_folder() -> Path:
    """Name the cache's folder: `$ETUDE_CACHE`, else `etude` below the user's cache folder.

    Raises:
        UserError: There is neither.
    """
    if own := os.environ.get("ETUDE_CACHE"):
        return Path(own)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "etude"
    except RuntimeError as error:  # a container's user without a home
        raise UserError("no home folder to cache images in; set ETUDE_CACHE to a folder") from error


@contextmanager
def cached(path: Path) -> Generator[Path]:
    """Give a file to write to, which takes the place of one in the cache once it is whole.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.remove_stale(path.parent)
    with atomic.replacing(path) as temporary:
        yield temporary


def shipped_conf() -> Path:
    """Find `conf/`: inside the package in a wheel, at the top of the checkout otherwise."""
    return _shipped("conf")


def shipped_ledger() -> Path:
    """Find `ledger/`, likewise."""
    return _shipped("ledger")


def _shipped(name: str) -> Path:
    package = Path(etude.__file__).parent
    inside = package / name
    return inside if inside.is_dir() else package.parents[1] / name
