"""From a command's words to the jobs that they stand for, each composed, checked and named once."""

import pickle
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from hydra.core.override_parser.types import Override
from hydra.types import RunMode, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from etude.base.errors import UserError
from etude.base.garbage import seldom_sought
from etude.base.identity import Identity, as_weights, short_target
from etude.base.places import outputs_folder
from etude.base.text import arm_of, counted
from etude.cli import hydra_door as door
from etude.cli import interpolations, launching
from etude.cli.choices import Base
from etude.cli.hydra_door import Loader
from etude.cli.job import ComposedJob, Jobs, PlannedJobs, clash, with_run_of_arm
from etude.cli.naming import RUN, SWEEP, MadeBefore, parent_of, readable, settled, swept_keys
from etude.cli.study import KEYS
from etude.cli.words import is_choice, parse, product
from etude.config import Config, check, identify
from etude.config.schema import GROUPS, DownloadedConf
from etude.preflight.contents import Contents
from etude.train.bfloat16_gains import gains

# The launchers whose jobs find the data, the weights and the devices that this process finds.
_HERE = (".BasicLauncher", ".LocalLauncher")
_NOT_A_RUNS = {"hydra", *KEYS}
_FREE = {"seed", "precision", "dataset.content"}


class Composer:
    """Composes, checks and names jobs, and remembers them for those who start them.

    Args:
        loader: Composes.

    Attributes:
        jobs: Those to be started, by their words.
        gains: Whether bfloat16 is worth it for all that it composed, so that arms of one study
            never compute in different numbers; see `etude.train.bfloat16_gains`.
        launcher: What all jobs of a sweep or a study are handed to at once, by its target.
    """

    def __init__(self, loader: Loader) -> None:
        self.loader = loader
        self.jobs = Jobs()
        self.gains, self.launcher = True, ""
        self._contents = Contents()
        self._to_come: dict[str, str] = {}  # runs to be made, as weights, by their folders
        self._made = MadeBefore()
        self._name = ""  # of the job that is being named
        self._alone: Jobs | None = None  # all that a process needs
        loader.job = self.for_launcher
        self._register()

    def __getstate__(self) -> dict[str, object]:
        """Leave behind what can be found out again, and what the process that gets it needs not."""
        jobs = self.jobs if self._alone is None else self._alone
        return {"loader": self.loader, "jobs": jobs, "gains": self.gains}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state)
        self._contents, self._to_come, self._name, self._alone = Contents(), {}, "", None
        self._made = MadeBefore()
        self._register()

    def __deepcopy__(self, memo: Any) -> "Composer":
        """Stay one: Hydra copies all it knows of for each launch, interpolations included."""
        return self

    def _register(self) -> None:
        """Make Étude's own interpolations known."""
        interpolations.register(folder=self._folder, subfolder=lambda: self._name)

    def run(self, words: Sequence[str]) -> PlannedJobs:
        """Compose the one job of a command.

        Raises:
            UserError: Its configuration is not valid; all of its problems are told.
            HydraException: It cannot be composed.
        """
        job, composed, base = self._job(words, RUN)
        self._remember(job, composed)
        return PlannedJobs([job], composed, base.told(words))

    def sweep(self, words: Sequence[str]) -> PlannedJobs:
        """Compose every job of a sweep, each by itself; one that is named twice is made once.

        Raises:
            UserError: A job's configuration is not valid, or two would share a folder.
            HydraException: A job cannot be composed.
        """
        master = self.master(words)
        params = OmegaConf.select(master, "hydra.sweeper.params") or {}
        own = [word for word in parse(self.loader, words) if not word.is_hydra_override()]
        given = [*(f"{key}={value}" for key, value in params.items()), *_lines(own)]
        wanted = [("", job) for job in product(self.loader, given)]
        if not wanted:
            raise UserError(f"{' '.join(given)} stands for no job at all")
        return self.several(master, wanted)

    @seldom_sought()
    def several(
        self,
        master: DictConfig,
        wanted: Sequence[tuple[str, Sequence[str]]],
        heeded: Collection[str] = GROUPS,
    ) -> PlannedJobs:
        """Compose jobs for a launcher.

        Args:
            master: What the launcher is made from; its words for Hydra go to each job.
            wanted: Of each job its label and its words.
            heeded: Groups in which it is told what falls away.

        Raises:
            UserError: A job's configuration is not valid, two would share a folder, or one asks
                for another launcher.
            HydraException: A job cannot be composed.
        """
        jobs: dict[Path, ComposedJob] = {}
        swept = swept_keys(wanted)
        remarks: dict[str, None] = {}
        hydras = _raw(master.hydra.overrides.hydra)
        for label, words in wanted:
            own = [with_run_of_arm(word, words, jobs.values()) for word in words]
            job, composed, base = self._job([*hydras, *own], SWEEP, number=len(jobs), swept=swept)
            launching.refuse_other(master, composed, base)
            job = replace(job, words=tuple(own), label=label)
            if (other := jobs.setdefault(job.folder, job)) is job:
                self._remember(job, composed)
            elif other.identity.fingerprint != job.identity.fingerprint:
                raise UserError(clash(other, job))
            remarks.update(dict.fromkeys(base.told(own, heeded)))
        if (twice := len(wanted) - len(jobs)) > 0:
            told = f"named twice and made once: {twice} of {counted(len(wanted), 'job')}"
            remarks[told] = None
        return PlannedJobs(list(jobs.values()), master, list(remarks))

    def master(self, words: Sequence[str], *more: str) -> DictConfig:
        """Compose what a launcher or a sweeper is made from: no values, which may fit one job only.

        Args:
            words: The command's: those for Hydra and single choices are taken, and the name.
            more: Words that are taken as well.
        """
        parsed = parse(self.loader, words)
        kept = [w for w in parsed if w.is_hydra_override() or self._is_single_choice(w)]
        return self.loader.compose([*_lines(kept), *more], RunMode.MULTIRUN)[0]

    def _is_single_choice(self, word: Override) -> bool:
        if word.is_sweep_override():
            return False
        return word.key_or_group == "name" or is_choice(self.loader, word)

    def for_launcher(self, master: DictConfig, words: Sequence[str]) -> DictConfig:
        """Give the configuration of a job; one that a sweeper has just thought of is composed."""
        key = tuple(words)
        if key not in self.jobs:
            hydras = _raw(master.hydra.overrides.hydra)
            job, composed, _ = self._job([*hydras, *words], SWEEP)
            self._remember(replace(job, words=key), composed)
        return pickle.loads(self.jobs[key][1])  # noqa: S301 (our own)

    def launch(self, planned: PlannedJobs, jobs: Sequence[ComposedJob], task: TaskFunction) -> None:
        """Hand some of the planned jobs to the launcher that the configuration names."""
        launching.launch(self.loader, planned.master, task, [job.words for job in jobs])

    def known(self, hydra: DictConfig) -> ComposedJob:
        """Give the job that a composed configuration belongs to, by its node `hydra`."""
        return self.jobs[tuple(_raw(hydra.overrides.task))][0]

    @contextmanager
    def alone(self, hydra: DictConfig) -> Generator[None]:
        """Be pickled with no other job than the one that a composed configuration belongs to."""
        key = tuple(_raw(hydra.overrides.task))
        self._alone = Jobs({key: self.jobs[key]})
        try:
            yield
        finally:
            self._alone = None

    def _remember(self, job: ComposedJob, composed: DictConfig) -> None:
        key = tuple(_raw(composed.hydra.overrides.task))
        self.jobs[key] = (job, pickle.dumps(composed))
        identity = job.identity
        weights = as_weights(identity.decisive, identity.fingerprint)
        self._to_come[str(job.folder.absolute())] = weights

    def _job(
        self,
        words: Sequence[str],
        folder_keys: Sequence[str],
        *,
        number: int | None = None,
        swept: Collection[str] = (),
    ) -> tuple[ComposedJob, DictConfig, Base]:
        """Compose, check and name one job."""
        composed, base = self.loader.compose(words)
        with open_dict(composed):
            if number is not None:
                composed.hydra.job.num, composed.hydra.job.id = number, str(number)
        if composed.hydra.job.chdir:
            raise UserError("hydra.job.chdir=true: runs stay in the working folder; leave it out")
        door.make_current(composed)  # `name` and others interpolate from it
        config = check(_plain(composed))
        self.gains &= gains(config)
        identity = identify(config, self._contents.of(config, self._to_come))
        other = base.chosen_otherwise()
        name = readable(config, identity, base, swept)
        self._name = f"{name}-{identity.fingerprint}"
        self._name = self._made.name(parent_of(composed, folder_keys), self._name)
        job = ComposedJob(
            config=config,
            identity=identity,
            folder=settled(composed, folder_keys),
            arm=arm_of(name),
            documented=not other and _as_documented(config, identity, base),
            local=folder_keys == RUN or _is_here(composed),
            words=tuple(words),
        )
        OmegaConf.set_readonly(composed.hydra, False)  # a launcher writes into it  # noqa: FBT003
        return job, composed, base

    def _folder(self, *, _root_: DictConfig) -> str:
        return str(Path(outputs_folder(), str(_root_.name), self._name))


@contextmanager
def composing(own: Path | None = None) -> Generator[Composer]:
    """Give what composes jobs, for as long as they are needed.

    Args:
        own: A folder with a user's own configuration files.
    """
    loader = door.make_loader(own)
    door.make_hydra(loader)
    try:
        yield Composer(loader)
    finally:
        door.close()


def _plain(composed: DictConfig) -> DictConfig | Mapping[str, object]:
    """Give the values of what is a run's own; as they are where one of them cannot be resolved."""
    own = [str(key) for key in composed if key not in _NOT_A_RUNS]
    try:
        return {
            key: OmegaConf.to_container(value, resolve=True)
            if OmegaConf.is_config(value)
            else value
            for key, value in ((key, composed[key]) for key in own)
        }
    except OmegaConfBaseException:
        return OmegaConf.masked_copy(composed, own)


def _is_here(composed: DictConfig) -> bool:
    return str(OmegaConf.select(composed, "hydra.launcher._target_")).endswith(_HERE)


def _as_documented(config: Config, identity: Identity, base: Base) -> bool:
    """Say whether all that counts is as the experiment's file has it, and on the published data."""
    usual = base.usual
    changed = {
        key
        for key, value in identity.decisive.items()
        if short_target(key, usual.get(key)) != value
    }
    # Folders of images have no published content to be held against.
    known = {"seed", "precision"} if isinstance(config.dataset, DownloadedConf) else _FREE
    return not changed - known


def _raw(words: Any) -> list[str]:
    """Give a list of words as they were typed, interpolations included."""
    return cast("list[str]", OmegaConf.to_container(words, resolve=False))


def _lines(words: Sequence[Override]) -> list[str]:
    return [str(word.input_line) for word in words]
