"""Where a search is kept: a journal or a database in its folder, safe against any end."""

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import optuna
from optuna import Study
from optuna.pruners import BasePruner
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

from etude.base.errors import UserError
from etude.base.text import first_line
from etude.search.settings import SearchConf
from etude.search.space import Space

_STUDY = "search"
_ABOUT = "about"  # the study's note of what it is a search for
_FILES = {"journal": "search.journal", "sqlite": "search.db"}


def note_epoch(study: Study, number: int, epoch: int, value: float) -> None:
    """Keep what a trial came to after an epoch; Optuna has a way for its own loop only."""
    storage: BaseStorage = study._storage  # pyright: ignore[reportPrivateUsage]
    storage.set_trial_intermediate_value(_identity(study, number), epoch, value)


def note(study: Study, number: int, key: str, value: Any) -> None:
    """Keep a note with a trial that is under way."""
    storage: BaseStorage = study._storage  # pyright: ignore[reportPrivateUsage]
    storage.set_trial_user_attr(_identity(study, number), key, value)


def _identity(study: Study, number: int) -> int:
    trial = study.get_trials(deepcopy=False)[number]
    return trial._trial_id  # pyright: ignore[reportPrivateUsage]


def open_study(folder: Path, *, storage: str, directions: Sequence[str]) -> Study:
    """Open a folder's study, or begin it.

    Raises:
        UserError: It was begun in another storage, or in other directions, or cannot be read.
    """
    for name, file in _FILES.items():
        if name != storage and (folder / file).exists():
            raise UserError(
                f"the search in {folder} is kept in {file}; set hydra.sweeper.storage={name}"
            )
    _quiet()
    try:
        study = optuna.create_study(
            storage=_open(folder, storage),
            study_name=_STUDY,
            directions=[StudyDirection[direction.upper()] for direction in directions],
            load_if_exists=True,
        )
        study.get_trials(deepcopy=False)  # which reads all of it
    except Exception as error:  # whatever a damaged file makes Optuna and its database raise
        raise UserError(
            f"{folder / _FILES[storage]} cannot be read as a search ({first_line(error)}); move "
            "it away, and the same command searches anew: runs that are done are taken as they are"
        ) from error
    begun = [direction.name.lower() for direction in study.directions]
    if begun != [*directions]:
        written = begun[0] if len(begun) == 1 else f"[{','.join(begun)}]"
        raise UserError(
            f"the search in {folder} is to {' and '.join(begun)}; "
            f"set hydra.sweeper.direction={written}"
        )
    return study


def check_same_search(study: Study, space: Space, settings: SearchConf) -> None:
    """Refuse to mix the trials of two searches.

    Raises:
        UserError: The study holds another one's.
    """
    shared = settings.identity or " ".join(sorted(space.shared))
    now = {**space.describe(), "metric": ",".join(settings.metrics), "shared": shared}
    if settings.seeds:
        now["seeds"] = str(settings.seeds)
    then: dict[str, str] | None = study.user_attrs.get(_ABOUT)
    if then is None:
        study.set_user_attr(_ABOUT, now)
    elif then != now:
        changed = [key for key in {**then, **now} if then.get(key) != now.get(key)]
        what = "what its jobs share" if changed == ["shared"] else ", ".join(changed)
        raise UserError(
            f"this folder holds another search ({what} differs); give this one its own: "
            "name=<another>, or hydra.sweep.dir=<another>"
        )


def count_left(trials: Sequence[FrozenTrial], wanted: int) -> int:
    """Count the trials that are half done or have not begun, of so many that are wanted."""
    half_done = sum(not trial.state.is_finished() for trial in trials)
    return half_done + max(0, wanted - len(trials))


def load_study(folder: Path, *, storage: str, pruner: BasePruner) -> Study:
    """Open a study that has begun.

    Raises:
        OSError: There is none.
    """
    if not (folder / _FILES[storage]).exists():
        raise FileNotFoundError(f"there is no {_FILES[storage]} in {folder}")
    _quiet()
    return optuna.load_study(storage=_open(folder, storage), study_name=_STUDY, pruner=pruner)


def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # what there is to say, Étude says


def _open(folder: Path, storage: str) -> BaseStorage:
    path = (folder / _FILES[storage]).absolute()
    if storage == "sqlite":
        from sqlalchemy.pool import NullPool  # noqa: PLC0415 (a journal does without)

        # A connection lives as long as what it is opened for: a search that ends, is cut or fails
        # leaves none behind.
        how = {"connect_args": {"timeout": 60}, "poolclass": NullPool}
        return RDBStorage(f"sqlite:///{path}", engine_kwargs=how)
    lock = cast("Any", _Lock(path))  # it asks for a child of a class that it keeps to itself
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))


class _Lock:
    """Hold a journal by a lock that ends with its process.

    Optuna's own are files, which a kill leaves behind for half a minute.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def acquire(self) -> bool:
        """Wait for the lock, then mend what a crash may have left."""
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        self._mend()
        return True

    def release(self) -> None:
        """Let others write."""
        os.close(self._descriptor)

    def _mend(self) -> None:
        """Cut off a last line without an end, which the next line would make unreadable."""
        size = os.fstat(self._descriptor).st_size
        if size == 0 or os.pread(self._descriptor, 1, size - 1) == b"\n":
            return
        whole = os.pread(self._descriptor, size, 0)
        os.ftruncate(self._descriptor, whole.rfind(b"\n") + 1)
