"""Being asked to stop: by Ctrl-C, by a scheduler, by a closed terminal."""

import signal
import threading
from types import FrameType
from typing import Any, Self

from etude.base.errors import INTERRUPTED, PREEMPTED


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
    it by `hand_on` once the state has been saved: it knows whether to queue the job again.
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
            if _is_submitits(signal.getsignal(signal.SIGUSR2)):
                self._previous[signal.SIGUSR2] = signal.signal(signal.SIGUSR2, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if _is_submitits(self._previous.get(self._number)):
            self.exit_code = None  # it came too late, and there is no next run in this process

    def hand_on(self) -> None:
        """Let submitit decide on a signal of its own: it leaves the process, or training goes on.

        Raises:
            Requeued: It has queued the job again.
        """
        handler: Any = self._previous.get(self._number)
        if self.exit_code is None or not _is_submitits(handler):
            return
        self.exit_code = None
        try:
            handler(self._number, None)
        except SystemExit as left:
            raise Requeued(left.code) from None

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


def _is_submitits(handler: Any) -> bool:
    return str(getattr(handler, "__module__", "")).startswith("submitit.")
