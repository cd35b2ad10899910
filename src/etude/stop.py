"""Being asked to stop: by Ctrl-C, by a scheduler, by a closed terminal."""

import signal
import threading
from types import FrameType
from typing import Any, Self

INTERRUPTED = 130  # what shells use for Ctrl-C
PREEMPTED = 75  # EX_TEMPFAIL: try again later, the work goes on


class Pruned(Exception):  # noqa: N818 (a result, not a mistake)
    """A run was given up after an epoch, because its search has no hope for it.

    Args:
        epoch: The epoch, counted from 1.
        epochs: Epochs that there were to be.
    """

    def __init__(self, epoch: int, epochs: int) -> None:
        super().__init__(f"given up after epoch {epoch} of {epochs}: others are better by then")
        self.epoch = epoch


class Stop:
    """Take note of the first signal, so that the loop can save before it ends; obey the second.

    `exit_code` is None until a signal comes: 130 after SIGINT, 75 after SIGTERM, SIGUSR1 or
    SIGHUP. Only a program's main thread can listen; elsewhere nothing is noted.
    """

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
                ignored = signal.getsignal(number) is signal.SIG_IGN
                if number is signal.SIGHUP and ignored:  # nohup: the terminal's end is no request
                    continue
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.exit_code is not None:
            raise KeyboardInterrupt
        self.exit_code = INTERRUPTED if number == signal.SIGINT else PREEMPTED
