"""Being asked to stop while jobs are running."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any

from etude.base.errors import INTERRUPTED, PREEMPTED

_LEAVING: ContextVar[bool] = ContextVar("leaving", default=False)


@contextmanager
def leaving() -> Generator[None]:
    """Have launchers whose jobs are in another's queue return as soon as they are."""
    token = _LEAVING.set(True)
    try:
        yield
    finally:
        _LEAVING.reset(token)


def is_leaving() -> bool:
    """Say whether nobody waits for jobs that are in another's queue."""
    return _LEAVING.get()


class Stopping:
    """Take note of the first signal; end the process at the second.

    `asked` is None until a signal comes. Then it is what the jobs shall be sent, SIGINT after
    Ctrl-C and SIGTERM otherwise, and `code` is what the launcher shall end with.
    """

    def __init__(self) -> None:
        self.asked: signal.Signals | None = None

    @property
    def code(self) -> int:
        """The exit code: 130 after Ctrl-C, else 75, for `try again later`."""
        return INTERRUPTED if self.asked == signal.SIGINT else PREEMPTED

    @contextmanager
    def listening(self) -> Generator[None]:
        """Hear signals inside; only a program's main thread can."""
        previous: dict[signal.Signals, Any] = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
                if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                    continue  # nohup: the terminal's end is no request
                previous[number] = signal.signal(number, self._note)
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.asked is not None:
            raise SystemExit(self.code)
        self.asked = signal.SIGINT if number == signal.SIGINT else signal.SIGTERM
