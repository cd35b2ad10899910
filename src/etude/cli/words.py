"""A command's words, one by one: read, and expanded where they stand for several values."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep
from hydra.errors import HydraException

from etude.base.text import near
from etude.cli.hydra_door import Loader
from etude.runs.composed import OWN_FILES


def parse(loader: Loader, words: Sequence[str]) -> list[Override]:
    """Read a command's words.

    Raises:
        HydraException: One is no override.
    """
    return OverridesParser.create(config_loader=loader).parse_overrides(list(words))


def is_choice(loader: Loader, word: Override) -> bool:
    """Say whether a word chooses in a group."""
    return loader.repository.group_exists(word.key_or_group)


def product(loader: Loader, words: Sequence[str]) -> list[list[str]]:
    """Expand words with several values, all with all; of two words for a key the last one holds.

    Raises:
        HydraException: A word is no override, or stands for values without an end.
    """
    levels = {word.get_key_element(): list(_levels(word)) for word in parse(loader, words)}
    return [list(job) for job in itertools.product(*levels.values())]


def _levels(word: Override) -> Iterator[str]:
    key = word.get_key_element()
    if not word.is_sweep_override():
        yield f"{key}={word.get_value_element_as_str()}"
    elif word.is_discrete_sweep():
        values = word.sweep_string_iterator()
        ranged = isinstance(word.value(), RangeSweep)
        yield from (f"{key}={_rounded(value) if ranged else value}" for value in values)
    else:
        raise HydraException(
            f"{word.input_line}: an interval has no end of values; give some, as {key}=0.1,0.2, "
            "or search it with hydra/sweeper=search"
        )


def _rounded(value: str) -> str:
    """Give a range's number as a person writes it: its third step of 0.1 is 0.3, as a run is named.

    Binary fractions add up to 0.30000000000000004, which would be another run than lr=0.3.
    """
    return f"{float(value):.12g}" if "." in value else value


def options(loader: Loader) -> list[str]:
    """Give the options that a command needs beside its words: where a user's own files are."""
    entries = loader.config_search_path.get_path()
    own = (str(entry.path) for entry in entries if entry.provider == OWN_FILES)
    return [f"--config-dir={near(Path(path.removeprefix('file://')))}" for path in own]
