"""A job as data: what a command's words came to, ready to cross to the process that does it."""

import pickle
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from etude.base.errors import UserError
from etude.base.identity import Identity
from etude.config import Config
from etude.runs.names import COMPOSED, CONFIG, HYDRA, OVERRIDES


@dataclass(frozen=True)
class ComposedJob:
    """One run to be made, as data: nothing of it is composed again.

    Args:
        config: What to train.
        identity: What makes it this run.
        folder: Where it is recorded.
        arm: What it shares with the runs that differ only in their seed.
        documented: Whether nothing that counts was changed in its experiment's file.
        local: Whether it is trained on this machine.
        words: What it was composed from.
        label: Its arm, as its study calls it.
    """

    config: Config
    identity: Identity
    folder: Path
    arm: str
    documented: bool
    local: bool
    words: tuple[str, ...]
    label: str = ""


class PlannedJobs(NamedTuple):
    """What a command stands for: its jobs, what a launcher is made from, and remarks for people."""

    jobs: list[ComposedJob]
    master: DictConfig
    remarks: list[str]


class Jobs(dict[tuple[str, ...], tuple[ComposedJob, bytes]]):
    """Jobs and their composed configurations, by their words; small on the way to a process."""

    def __reduce__(self) -> Any:
        """Compress them: a sweep's configurations are almost the same."""
        return _unpacked, (zlib.compress(pickle.dumps(dict(self))),)


def _unpacked(packed: bytes) -> Jobs:
    return Jobs(pickle.loads(zlib.decompress(packed)))  # noqa: S301 (made by our own launcher)


def texts(task: DictConfig, hydra: DictConfig) -> dict[str, str]:
    """Give what a run's folder says of its configuration: as resolved, and as composed."""
    overrides = OmegaConf.select(hydra, "overrides.task") or OmegaConf.create([])
    return {
        CONFIG: OmegaConf.to_yaml(task, resolve=True),
        COMPOSED: OmegaConf.to_yaml(task),
        HYDRA: OmegaConf.to_yaml(OmegaConf.create({"hydra": hydra})),
        OVERRIDES: OmegaConf.to_yaml(overrides),
    }


def clash(one: ComposedJob, other: ComposedJob) -> str:
    """Say that two jobs would share a folder, and what they differ in."""
    theirs = [*set(one.words) ^ set(other.words)]
    return (
        f"{one.folder} would hold runs that differ in {', '.join(sorted(theirs))}; leave "
        "hydra.sweep.subdir and hydra.run.dir alone, or let them name what differs"
    )


def with_run_of_arm(word: str, words: Sequence[str], earlier: Iterable[ComposedJob]) -> str:
    """Put the folder of an earlier arm's run with the same seed in the place of `@<arm>`.

    Raises:
        UserError: No arm of that name comes before.
    """
    key, at, label = word.partition("=@")
    if not at:
        return word
    for job in earlier:
        if job.label == label and f"seed={job.config.seed}" in words:
            return f"{key}='{job.folder}'"
    raise UserError(f"{word}: no arm called {label} comes before")
