"""Being asked to stop: by Ctrl-C, by a scheduler, by a closed terminal."""

import logging
import signal
import threading
from types import FrameType
from typing import Any, Self

from etude.base.errors import INTERRUPTED, PREEMPTED

log = logging.getLogger(__name__)


class Pruned(Exception):  # noqa: N818 (a result, not a mistake)
    """A run was given up after an epoch, because its search has no hope for it.

    Args:
        epoch: The epoch, counted from 1.
        epochs: Epochs that there were to be.
    """

    def __init__(self, epoch: int, epochs: int) -> None:
        super().__init__(f"given up after epoch {epoch} of {epochs}: others are better by then")
        self.epoch = epoch


class Requeued(SystemExit):
    """The process ends because its job has been queued again."""


class Stop:
    """Take note of the first signal, so that the loop can save before it ends; obey the second.

    `exit_code` is None until a signal comes: 130 after SIGINT, 75 after SIGTERM, SIGUSR1 or
    SIGHUP. Only a program's main thread can listen; elsewhere nothing is noted.

    In a job of submitit's, its own signals (SIGUSR2, SIGTERM) are noted as well, and handed on to
    it by `hand_on` once the state has been saved. At SIGUSR2, which comes before a time limit, it
    queues the job again. SIGTERM it leaves to SLURM, which sends that when it is about to take the
    node, ends the job some seconds or minutes later, and queues it again by itself; a job that left
    of its own accord would not be.
    """

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self._number = signal.SIGTERM
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
                ignored = signal.getsignal(number) is signal.SIG_IGN
                if number is signal.SIGHUP and ignored:  # nohup: the terminal's end is no request
                    continue
                self._previous[number] = signal.signal(number, self._note)
            heed_submitit()
            if _is_submitits(signal.getsignal(signal.SIGUSR2)):
                self._previous[signal.SIGUSR2] = signal.signal(signal.SIGUSR2, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if _is_submitits(self._previous.get(self._number)):
            self.exit_code = None  # it came too late, and there is no next run in this process

    @property
    def signal_name(self) -> str:
        """Name the signal that came."""
        return signal.Signals(self._number).name

    def hand_on(self) -> bool:
        """Say whether the run is to end, now that it is saved; submitit decides on its own signals.

        Raises:
            Requeued: It has queued the job again.
        """
        if not _is_submitits(self._previous.get(self._number)):
            return True
        self.exit_code = None  # before its number is read: another may come meanwhile
        self._previous[self._number](self._number, None)
        log.info("training goes on until SLURM ends the job, as submitit leaves SIGTERM to it")
        return False

    def obey(self) -> None:
        """End the process if a signal has come.

        Raises:
            SystemExit: One has.
        """
        if self.exit_code is not None:
            raise SystemExit(self.exit_code)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.exit_code is not None and not _is_submitits(self._previous.get(number)):
            raise KeyboardInterrupt
        # SLURM sends SIGTERM beside the signal that queues the job again.
        if self.exit_code is None or number == signal.SIGUSR2:
            self._number = signal.Signals(number)
        self.exit_code = INTERRUPTED if number == signal.SIGINT else PREEMPTED


class _Requeueing:
    """submitit's handler, which tells by `Requeued` that it has queued the job again.

    Args:
        handler: submitit's; it ends the process as anything else in a network might.
    """

    def __init__(self, handler: Any) -> None:
        self._handler = handler

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal."""
        try:
            self._handler(number, frame)
        except SystemExit as left:
            raise Requeued(left.code) from None


def heed_submitit() -> None:
    """Have submitit's handler of SIGUSR2, where there is one, raise `Requeued`."""
    handler = signal.getsignal(signal.SIGUSR2)
    if _is_submitits(handler) and not isinstance(handler, _Requeueing):
        signal.signal(signal.SIGUSR2, _Requeueing(handler))


def _is_submitits(handler: Any) -> bool:
    module = str(getattr(handler, "__module__", ""))
    return isinstance(handler, _Requeueing) or module.startswith("submitit.")
