"""What a run was composed from, as its folder tells: its words, and where a user's own files were.

YAML is read as such only where a look at the lines is not enough: it takes a hundred times as long.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from etude.base.lazy import yaml
from etude.runs.names import CONFIG, HYDRA, OVERRIDES

_QUOTES = ("- '", '- "', "- |", "- >")
OWN_FILES = "command-line"  # Hydra's name for what --config-dir gave
_SEARCHPATH = "hydra.searchpath"
_PACKAGES = re.compile(r"^packages:(?! *\[\])", re.MULTILINE)


def words_of(folder: Path) -> list[str]:
    """Give the words that a run was composed from, each as the command takes it."""
    text = _text(folder / OVERRIDES)
    lines = text.splitlines()
    if all(line.startswith("- ") and not line.startswith(_QUOTES) for line in lines):
        return [line[2:] for line in lines]
    found = _loaded(text)
    return [str(word) for word in found] if isinstance(found, list) else []


def by_key(words: Iterable[str]) -> dict[str, str]:
    """Give the values of words, by key; a word without a value has none."""
    pairs = (word.partition("=") for word in words)
    return {key: value for key, _, value in pairs if value}


def config_dir_of(folder: Path) -> Path | None:
    """Give the folder of a user's own files that a run was composed with; None without one."""
    for source in _hydra(folder, OWN_FILES, "runtime", "config_sources"):
        if isinstance(source, dict) and source.get("provider") == OWN_FILES:
            return Path(str(source.get("path")))
    return None


def options_of(folder: Path) -> list[str]:
    """Give the options and words that tell the command where a run's own files were."""
    own = config_dir_of(folder)
    words = _hydra(folder, _SEARCHPATH, "overrides", "hydra")
    found = [str(word) for word in words if str(word).startswith(_SEARCHPATH)]
    return [*([] if own is None else [f"--config-dir={own}"]), *found]


def packages_of(folder: Path) -> list[str]:
    """Give the packages of a user's own that a run was allowed to import."""
    text = _text(folder / CONFIG)
    node: Any = _loaded(text) if _PACKAGES.search(text) else None
    found = node.get("packages") if isinstance(node, dict) else None
    return [str(name) for name in found] if isinstance(found, list) else []


def _hydra(folder: Path, sign: str, *keys: str) -> list[Any]:
    """Give a list of Hydra's own node, if the file has a sign of what is sought in it."""
    text = _text(folder / HYDRA)
    node: Any = _loaded(text) if sign in text else None
    for key in ("hydra", *keys):
        node = node.get(key) if isinstance(node, dict) else None
    return node if isinstance(node, list) else []


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _loaded(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):  # a damaged file is taken as missing
        return None
