"""What a run's folder is called: by its configuration, and by what its sweep varies."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, read_write
from omegaconf.errors import InterpolationToMissingValueError

from etude.base.identity import Identity
from etude.base.places import outputs_folder
from etude.cli.choices import Base
from etude.config import Config, describe, results

# Where a job's folder is written.
RUN, SWEEP = ("hydra.run.dir",), ("hydra.sweep.dir", "hydra.sweep.subdir")
_ENDING = re.compile(r"seed=\d+-[0-9a-f]{8}$")  # of a folder's name: what tells runs apart


def swept_keys(wanted: Sequence[tuple[str, Sequence[str]]]) -> frozenset[str]:
    """Name the keys that differ among a sweep's jobs; a study's runs are known by their arms.

    Args:
        wanted: Of each job its label and its words.
    """
    if any(label for label, _ in wanted):
        return frozenset()
    parts = [[word.partition("=") for word in words] for _, words in wanted]
    jobs = [{key: value for key, _, value in own} for own in parts]
    keys = {key for job in jobs for key in job}
    return frozenset(key.lstrip("+") for key in keys if len({job.get(key) for job in jobs}) > 1)


def readable(config: Config, identity: Identity, base: Base, swept: Collection[str]) -> str:
    """Put what is special about a run into words, and what its sweep varies, as is or not."""
    choices = base.chosen_otherwise(swept)
    whole = results(config, later=True) if swept else {}
    return describe(identity, choices, base.usual, {k: v for k, v in whole.items() if k in swept})


class MadeBefore:
    """The folders that there are: a run goes on in its own, whatever the sweep that named it."""

    def __init__(self) -> None:
        self._folders: dict[Path, dict[str, str]] = {}

    def name(self, parent: Path, name: str) -> str:
        """Give the name of the folder of the same seed and fingerprint, or else the one given."""
        if parent not in self._folders:
            self._folders[parent] = _by_ending(parent)
        found = self._folders[parent].get(_ending(name), name)
        return name if (parent / name).exists() else found


def _by_ending(parent: Path) -> dict[str, str]:
    names = sorted(path.name for path in parent.iterdir()) if parent.is_dir() else []
    return {ending: name for name in names if (ending := _ending(name))}


def _ending(name: str) -> str:
    match = _ENDING.search(name)
    return "" if match is None else match.group()


def parent_of(composed: DictConfig, keys: Sequence[str]) -> Path:
    """Find the folder that a job's will be in, beside those of others."""
    if keys == SWEEP:
        return Path(str(OmegaConf.select(composed, keys[0])))
    return Path(outputs_folder(), str(composed.name))


def settled(composed: DictConfig, keys: Sequence[str]) -> Path:
    """Find a job's folder, and write it as text where a launcher will look for it."""
    hydra = composed.hydra
    with read_write(hydra):
        try:
            parts = [str(OmegaConf.select(composed, key)) for key in keys]
        except InterpolationToMissingValueError:  # the number of a job that has none yet
            return Path(str(hydra.sweep.dir))
        for key, part in zip(keys, parts, strict=True):
            OmegaConf.update(composed, key, part)
    return Path(*parts)
