"""One call in a process of its own, whose end, whatever it is, ends nobody else."""

import json
import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, NoReturn, TypeVar

import cloudpickle

T = TypeVar("T")

_CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from etude.base.in_subprocess import answer; answer()"
)


def in_subprocess(function: Callable[[], T], *, threads: int) -> T | None:
    """Call a function in another process; give its answer, or None if it has none to give.

    What it prints is dropped, and the terminal's signals do not reach it.

    Args:
        function: What to call.
        threads: That it computes with.
    """
    with (
        suppress(BrokenPipeError),  # it ended before it was asked
        tempfile.TemporaryFile() as answered,
        subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", _CODE, json.dumps(sys.path)],
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            stdin=subprocess.PIPE,  # open for as long as this process wants the answer
            stdout=answered,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process,
    ):
        assert process.stdin is not None  # noqa: S101
        cloudpickle.dump(function, process.stdin)
        process.stdin.flush()
        if process.wait() == 0:
            answered.seek(0)
            return pickle.load(answered)  # noqa: S301 (from our own child)
    return None


def answer() -> NoReturn:
    """Do, in the other process, what is asked on standard input; answer on standard output."""
    asked, answered = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):  # what is called may read and print
        os.dup2(null, descriptor)
    function = pickle.load(asked)  # noqa: S301 (from our own parent)
    threading.Thread(target=_end_with_parent, args=(asked,), daemon=True).start()
    with answered:
        pickle.dump(function(), answered)
    os._exit(0)  # threads that it has left behind are not waited for


def _end_with_parent(asked: BinaryIO) -> None:
    asked.read()
    os._exit(1)
