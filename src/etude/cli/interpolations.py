"""What `${etude.…}` stands for in a configuration, and how quickly OmegaConf reads any `${…}`."""

import os
import warnings
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import omegaconf.base
from omegaconf import OmegaConf

from etude.base.places import outputs_folder


def register(*, folder: Callable[..., str], subfolder: Callable[[], str]) -> None:
    """Make Étude's own interpolations known.

    Args:
        folder: Gives a job's folder, from the configuration as `_root_`.
        subfolder: Gives its folder's own name.
    """
    _read_once()
    known = partial(OmegaConf.register_new_resolver, replace=True)
    with warnings.catch_warnings(action="ignore"):  # OmegaConf 2.4 has another name for it
        known("etude.outputs", outputs_folder)
        known("etude.absolute", _absolute)
        known("etude.basename", _basename)
        known("etude.folder", folder)
        known("etude.subfolder", subfolder)


def _basename(path: str) -> str:
    return Path(path).absolute().name


def _absolute(variable: str, usual: str) -> str:
    """Give the folder that a variable of the environment names, or the usual one, from the root."""
    return str(Path(os.environ.get(variable) or usual).absolute())


def _read_once() -> None:
    """Have OmegaConf parse each text with `${…}` once: all jobs of a sweep have the same ones.

    A tree that was parsed is only read, and so stands for its text wherever that stands.
    """
    module: Any = omegaconf.base
    if not hasattr(module.parse, "cache_info"):
        module.parse = lru_cache(maxsize=1024)(module.parse)
