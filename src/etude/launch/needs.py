"""What jobs need on a GPU, found out while others already run: it takes seconds for each kind."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from etude.launch.job import Job

_AT_ONCE = 4  # mostly they wait for processes that rehearse a step


class Needs:
    """Asks jobs for the bytes that they need, in threads that nobody waits for."""

    def __init__(self) -> None:
        self._asked: dict[int, queue.SimpleQueue[int | Exception | None]] = {}
        self._known: dict[int, int | None] = {}
        self._waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def known(self, job: Job) -> bool:
        """Say whether a job has answered, and ask it if nobody has.

        Raises:
            Exception: What it raised in place of an answer.
        """
        if job.number in self._known:
            return True
        if job.number not in self._asked:
            self._ask(job)
        answered = self._asked[job.number]
        if answered.empty():
            return False
        answer = answered.get()
        if isinstance(answer, Exception):
            raise answer
        self._known[job.number] = answer
        return True

    def of(self, job: Job) -> int | None:
        """Give the bytes that a job needs; None if it does not know, or has not answered yet."""
        return self._known.get(job.number)

    def _ask(self, job: Job) -> None:
        answered = self._asked[job.number] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answered.put(job.memory())
            except Exception as error:  # noqa: BLE001 (raised where it is asked for)
                answered.put(error)

        self._waiting.put(ask)
        if len(self._threads) < _AT_ONCE:
            self._threads.append(threading.Thread(target=self._work, daemon=True))
            self._threads[-1].start()

    def _work(self) -> None:
        while True:
            self._waiting.get()()
