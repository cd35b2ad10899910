"""A user's queue of commands on this machine: a folder of files, a lock, no port.

Each command packs its own jobs on the devices, so that one command at a time never overbooks them.
A command is known by its number: `<number>.json` says what it is, `<number>.log` has all that it
printed, and `<number>.lock` is held for as long as its process lives, whoever started that.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypedDict

from etude.base import locks
from etude.base.errors import UserError
from etude.runs.records import read_as, write_json

WAITING, RUNNING, FINISHED, FAILED, STOPPED, REMOVED = (
    "waiting", "running", "finished", "failed", "preempted", "removed",
)  # fmt: skip
_KEPT = ("ETUDE_", "HYDRA_", "CUDA_", "OMP_", "MKL_", "PYTHON", "XDG_", "SLURM_")  # of the shell's
_TRIED = 5.0  # seconds in which two commands that add at once get numbers of their own


class QueuedDict(TypedDict):
    """A command as its file has it."""

    number: int
    place: float
    words: list[str]
    folder: str
    environment: dict[str, str]
    state: str
    process: int


@dataclass(frozen=True)
class QueuedCommand:
    """One command.

    Args:
        number: Its name.
        place: In the queue; the lowest comes first.
        words: Of `etude`.
        folder: That it was given in.
        environment: Of the shell, as far as it matters.
        state: Where it stands.
        process: Its process, while it runs.
    """

    number: int
    place: float
    words: list[str]
    folder: str
    environment: dict[str, str]
    state: str = WAITING
    process: int = 0

    @property
    def left(self) -> bool:
        """Whether it is still to be done."""
        return self.state in {WAITING, RUNNING}


def state_folder() -> Path:
    """Name the folder of the user's queue: `etude` below `$XDG_STATE_HOME`, or `~/.local/state`.

    Raises:
        UserError: There is neither.
    """
    try:
        home = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    except RuntimeError as error:
        raise UserError("no home folder to keep a queue in; set XDG_STATE_HOME") from error
    return home / "etude" / "queue"


class CommandQueue:
    """The queue's files.

    Args:
        folder: Where they are; made if it is not there, for nobody else's eyes.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder

    @property
    def paused(self) -> bool:
        """Whether no further command is to be started."""
        return (self.folder / "paused").exists()

    def pause(self, *, on: bool) -> None:
        """Start no further command, or start them again; what runs goes on."""
        path = self.folder / "paused"
        path.touch() if on else path.unlink(missing_ok=True)

    @property
    def jobs_per_device(self) -> str:
        """The jobs at a time that `resize` asked for; an empty text if nobody did."""
        with suppress(OSError):
            return (self.folder / "jobs_per_device").read_text(encoding="utf-8").strip()
        return ""

    def log(self, number: int) -> Path:
        """Name the file of all that a command printed."""
        return self.folder / f"{number}.log"

    def lock(self, number: int) -> Path:
        """Name the file whose lock a command's process holds."""
        return self.folder / f"{number}-at-work.lock"

    def all(self) -> list[QueuedCommand]:
        """Give all commands: what runs, what waits, and what is over, each in order."""
        found = [read_as(path, QueuedDict, whole=True) for path in self.folder.glob("*.json")]
        keys = QueuedDict.__annotations__  # a later version's file may have more
        commands = [QueuedCommand(**{key: one[key] for key in keys}) for one in found if one]
        rank = {RUNNING: 0, WAITING: 1}
        return sorted(commands, key=lambda one: (rank.get(one.state, 2), one.place))

    def find(self, number: int) -> QueuedCommand:
        """Give a command by its number.

        Raises:
            UserError: There is none.
        """
        for command in self.all():
            if command.number == number:
                return command
        raise UserError(f"there is no command {number} in the queue; etude-queue shows them")

    def add(
        self, words: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> QueuedCommand:
        """Put a command at the queue's end."""
        with self.alone():
            names = [path.stem for path in self.folder.glob("*.json")]  # damaged ones as well
            number = max((int(name) for name in names if name.isdecimal()), default=0) + 1
            own = kept(environment)
            command = QueuedCommand(number, float(number), list(words), str(folder), own)
            self.write(command)
        return command

    def write(self, command: QueuedCommand) -> None:
        """Put down what a command is, and where it stands."""
        write_json(self.folder / f"{command.number}.json", asdict(command))

    def first(self, number: int) -> None:
        """Let a command come before all that wait."""
        with self.alone():
            places = [one.place for one in self.all() if one.state == WAITING]
            command = self.find(number)
            if command.state != WAITING:
                raise UserError(f"command {number} is {command.state}; only what waits is moved")
            self.write(replace(command, place=min(places) - 1))

    def remove(self, number: int) -> bool:
        """Take a command out; say whether it ran, and was asked to save and stop.

        Raises:
            UserError: It is over.
        """
        with self.alone():
            command = self.find(number)
            if not command.left and command.state != STOPPED:  # which `again` would begin anew
                raise UserError(f"command {number} is {command.state}; there is nothing to remove")
            self.write(replace(command, state=REMOVED))
            return self.stop(command)

    def again(self, chosen: int | None) -> None:
        """Let commands that were stopped, and one that is over, be given once more.

        What they have done stays done.
        """
        with self.alone():
            for command in self.all():
                if not command.left and (command.number == chosen or command.state == STOPPED):
                    self.write(replace(command, state=WAITING))

    def resize(self, jobs: str) -> list[int]:
        """Let commands have so many jobs a device; what runs, as is told, saves and goes on so."""
        if not (jobs == "auto" or (jobs.isdecimal() and int(jobs))):
            raise UserError(f"resize {jobs}: give auto, or a whole number above 0")
        (self.folder / "jobs_per_device").write_text(jobs, encoding="utf-8")
        with self.alone():
            running = [command for command in self.all() if command.state == RUNNING]
            for command in running:
                self.mark(command, "again").touch()
                self.stop(command)
        return [command.number for command in running]

    def stop(self, command: QueuedCommand) -> bool:
        """Ask a command's process to save and stop, and say whether it is there.

        Once: asked again, it would stop without having saved.
        """
        if command.process and locks.is_held(self.lock(command.number)):
            with suppress(ProcessLookupError):
                if not self.was_asked(command):
                    os.kill(command.process, signal.SIGTERM)
                self.mark(command, "asked").write_text(str(command.process))
                return True
        return False

    def was_asked(self, command: QueuedCommand) -> bool:
        """Say whether a command's process was asked to stop."""
        with suppress(OSError):
            return self.mark(command, "asked").read_text() == str(command.process)
        return False

    def mark(self, command: QueuedCommand, word: str) -> Path:
        """Name the file that says what was wanted of a command's process."""
        return self.folder / f"{command.number}.{word}"

    def alone(self, *, patience: float = _TRIED) -> _Alone:
        """Keep all others from changing the queue meanwhile.

        Args:
            patience: Seconds to wait for another that does.
        """
        return _Alone(self.folder / "change.lock", patience)


def kept(environment: Mapping[str, str]) -> dict[str, str]:
    """Choose what of a shell's environment a command has with it."""
    return {k: v for k, v in environment.items() if k == "PATH" or k.startswith(_KEPT)}


class _Alone:
    """Change the queue's files one process at a time."""

    def __init__(self, path: Path, patience: float) -> None:
        self._path, self._patience = path, patience

    def __enter__(self) -> None:
        end = time.monotonic() + self._patience
        while True:
            try:
                self._held = locks.take(self._path)
            except locks.Held as error:
                if time.monotonic() > end:
                    raise UserError(f"the queue is being changed by {error}; try again") from None
                time.sleep(0.02)
            else:
                return

    def __exit__(self, *_: object) -> None:
        locks.release(self._held)
