"""One call in a process of its own, whose end, whatever it is, ends nobody else."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import cloudpickle

from etude.launch import machine
from etude.launch.client import Forks, Lost
from etude.launch.slots import threads
from etude.launch.wire import STARTED

T = TypeVar("T")


def call_apart(function: Callable[[], T], *, preload: Sequence[str]) -> T | None:
    """Call a function in another process; give its answer, or None if it has none to give.

    Args:
        function: What to call.
        preload: Modules that it needs.
    """
    share = threads(cores=machine.cores(), places=1, environment=os.environ)
    forks = Forks(preload, share)
    with tempfile.TemporaryDirectory() as folder:
        try:
            log = Path(folder) / "log"
            call = cloudpickle.dumps(partial(_answer, function))
            answer = forks.start(0, call, log, threads=share, environment={})
            while (event := forks.event()).status == STARTED:
                pass
        except Lost:
            return None
        finally:
            forks.close()
    with answer:
        answer.seek(0)
        return None if event.status else pickle.load(answer)  # noqa: S301 (from our own child)


def _answer(function: Callable[[], object]) -> tuple[bytes, int]:
    return pickle.dumps(function()), 0
