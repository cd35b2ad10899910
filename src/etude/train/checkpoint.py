"""Checkpoints: written in one go, verified when read, and never a burden to the run."""

import logging
import shutil
import time
import zipfile
from pathlib import Path
from typing import TypedDict

import torch

from etude.base.atomic import is_full, replacing, told_full
from etude.base.errors import UserError
from etude.base.text import first_line
from etude.runs.names import LAST, PREVIOUS
from etude.train.state import Saved

log = logging.getLogger(__name__)

_SHARE = 0.01  # of the time that saving may take


class _Checkpoint(TypedDict):
    identity: dict[str, str]
    state: Saved


class Checkpoints:
    """Keep the last checkpoint of a run, and the one before it in case the last is damaged.

    Args:
        folder: The run's folder.
        identity: What a checkpoint must agree on with the process that goes on from it, by the key
            that a user would set.
        every_seconds: Shortest time between two; longer where saving takes more than 1 % of it.
        every_steps: Also save after so many steps; None to go by time alone.
    """

    def __init__(
        self,
        folder: Path,
        *,
        identity: dict[str, str],
        every_seconds: float,
        every_steps: int | None,
    ) -> None:
        self.path = folder / LAST
        self._identity = identity
        self._every_seconds = every_seconds
        self._every_steps = every_steps
        self._cost = 0.0
        self._saved_at = time.monotonic()

    def due(self, step: int) -> bool:
        """Say whether to save now, before step number `step` of the whole run."""
        if self._every_steps is not None and step and step % self._every_steps == 0:
            return True
        waited = time.monotonic() - self._saved_at
        return waited >= max(self._every_seconds, self._cost / _SHARE)

    def save(self, state: Saved) -> None:
        """Write a checkpoint; a full disk leaves the earlier ones as they are, with a warning."""
        start = time.monotonic()
        try:
            _write({"identity": self._identity, "state": state}, self.path)
        except (OSError, RuntimeError) as error:
            log.warning("no checkpoint could be written: %s", _reason(error, self.path))
        self._saved_at = time.monotonic()
        self._cost = self._saved_at - start

    def load(self) -> Saved | None:
        """Give the last checkpoint's state, else that of the one before it, else None.

        Raises:
            UserError: It was made under other conditions, and going on would mix two runs.
        """
        saved = self._newest()
        if saved is None:
            return None
        for key, here in self._identity.items():
            if (then := saved["identity"].get(key)) != here:
                raise UserError(
                    f"{self.path.parent} was begun with {key}={then} and would go on with "
                    f"{key}={here}; go on where it began, or start over with fresh=true"
                )
        return saved["state"]

    def take_back(self, epoch: int, step: int) -> None:
        """Let go of one whose weights turned out bad: after so many epochs, and steps of the next.

        It may be whole, and finite: only the next loss told.
        """
        previous = self.path.with_name(PREVIOUS)
        for path in (self.path, previous):
            if path.exists() and _position(path) == (epoch, step):
                path.unlink()
        if previous.exists() and not self.path.exists():
            previous.replace(self.path)

    def _newest(self) -> _Checkpoint | None:
        for path in (self.path, self.path.with_name(PREVIOUS)):
            if not path.exists():
                continue
            try:
                return _read(path)
            except Exception as error:  # noqa: BLE001 (whatever a damaged file makes torch raise)
                log.warning("%s is damaged (%s); trying the one before it", path.name, error)
        return None


def _write(checkpoint: _Checkpoint, path: Path) -> None:
    with replacing(path) as temporary:
        with temporary.open("wb") as file:
            torch.save(checkpoint, file)
        if path.exists():
            _keep(path, path.with_name(PREVIOUS))


def _keep(path: Path, previous: Path) -> None:
    """Give a file a second name; at no moment is there neither."""
    with replacing(previous) as link:
        link.unlink()
        try:
            link.hardlink_to(path)
        except OSError:  # a file system without hard links
            shutil.copy2(path, link)


def _read(path: Path) -> _Checkpoint:
    # torch.load does not look at the checksums: one flipped bit would be one wrong weight.
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"wrong checksum of {damaged}")
    return torch.load(path, map_location="cpu", weights_only=True)


def _position(path: Path) -> tuple[int, int] | None:
    """Tell how far a checkpoint is: epochs, and steps of the next; None of a damaged one."""
    try:
        state = _read(path)["state"]
    except Exception:  # noqa: BLE001 (whatever a damaged file makes torch raise)
        return None
    return state["epoch"], state["step"]


def _reason(error: BaseException, path: Path) -> str:
    """Say in a line why: torch reports a full disk as a wrong position in its file."""
    if not is_full(error):
        return first_line(error)
    kept = "the earlier one is kept" if path.exists() else "there is no earlier one"
    return f"{path}: {told_full(path)}; {kept}"
