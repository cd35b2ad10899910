"""What jobs need on a GPU is found out beside the jobs that run, and no two are asked twice."""

import io
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

import pytest
from launch.processes import wait_for

from etude.launch.client import Forks
from etude.launch.job import Entry, Job, Settings
from etude.launch.machine import Device
from etude.launch.needs import Needs
from etude.launch.pool import Pool
from etude.launch.slots import Slots
from etude.launch.task import About

GIB = 2**30
GPU = Device("GPU-aaaa", 80 * GIB)


class Silent:
    """A fork server whose jobs never end."""

    def __init__(self) -> None:
        self.channel, self._other = socket.socketpair()
        self.started: list[int] = []

    def start(
        self, job: int, call: bytes, log: Path, *, threads: int, environment: Mapping[str, str]
    ) -> IO[bytes]:
        del call, log, threads, environment
        self.started.append(job)
        return io.BytesIO()

    def close(self) -> None:
        self.channel.close()
        self._other.close()


class Unseen:
    def changed(self, entry: Entry) -> None: ...

    def look(self, entries: Sequence[Entry], *, stopping: bool) -> None: ...


def job(number: int, memory: Callable[[], int | None]) -> Job:
    return Job(number, str(number), Path(str(number)), About(), bytes, memory=memory)


@pytest.fixture
def forks() -> Iterator[Silent]:
    silent = Silent()
    yield silent
    silent.close()


def pool(memory: Callable[[], int | None], jobs: int, forks: Silent) -> Any:
    slots = Slots([GPU], limit=3)
    return Pool(
        [job(number, memory) for number in range(jobs)],
        slots=slots,
        settings=Settings(threads=1),
        forks=lambda: cast("Forks", forks),
        display=Unseen(),
    )


def test_the_first_job_of_a_gpu_begins_and_the_others_wait_until_their_needs_are_known(
    forks: Silent,
):
    told = threading.Event()

    def memory() -> int:
        assert told.wait(60)
        return GIB

    launcher = pool(memory, 5, forks)
    for _ in range(2):
        assert launcher._go_on()  # nothing waits for the answer
        launcher._await()
    assert forks.started == [0]
    told.set()

    def three_run() -> bool:
        launcher._await()
        launcher._go_on()
        return len(forks.started) == 3

    wait_for(three_run, 60)
    assert forks.started == [0, 1, 2]


def test_a_job_that_does_not_know_what_it_needs_keeps_its_gpu_for_itself(forks: Silent):
    launcher = pool(lambda: None, 2, forks)
    needs: Needs = launcher._needs
    launcher._go_on()
    wait_for(lambda: all(needs.known(entry.job) for entry in launcher.entries.values()), 60)
    launcher._await()
    launcher._go_on()
    assert forks.started == [0]


def test_what_goes_wrong_in_an_answer_is_raised_where_it_is_asked_for():
    def fails() -> int:
        raise OSError(28, "No space left on device")

    needs, asked = Needs(), job(0, fails)
    with pytest.raises(OSError, match="No space"):
        wait_for(lambda: needs.known(asked), 60)


def test_each_job_is_asked_once():
    asked: list[int] = []

    def memory() -> int:
        asked.append(1)
        return GIB

    needs, one = Needs(), job(0, memory)
    wait_for(lambda: needs.known(one), 60)
    assert needs.known(one)
    assert needs.of(one) == GIB
    assert len(asked) == 1
