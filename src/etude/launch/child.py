"""A job's own process, from its fork to its exit code."""

from __future__ import annotations

import atexit
import faulthandler
import io
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from typing import NoReturn

from etude.base.errors import INTERRUPTED
from etude.base.processes import die_with_parent
from etude.launch.wire import Request, read_request

GRACE = 10.0  # seconds that a job has to save once its launcher is gone
MEANT_FOR_JOBS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
# Read by numeric libraries when they start their threads.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def live(files: Sequence[int]) -> NoReturn:
    """Do the job that the files describe, and end the process.

    The interpreter is not taken down, which would take a second with all that the fork server has
    imported: what was registered for the exit is run, and the system has the rest.

    Args:
        files: Descriptors of its request, its answer and its log.
    """
    code = 1
    try:
        code = _work(files)
    except SystemExit as error:
        code = exit_code(error.code)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except BaseException:  # noqa: BLE001 (its log shall say so, whatever it is)
        traceback.print_exc()
    finally:
        _leave(code)


def exit_code(given: object) -> int:
    """Read what `sys.exit` was given as the interpreter does."""
    if given is None or isinstance(given, int):
        return (given or 0) & 0xFF
    print(given, file=sys.stderr)  # noqa: T201
    return 1


def _leave(code: int) -> NoReturn:
    # There is no other way. Threads that wait for work, as those of PyTorch's compiler, end only
    # where they are told that the end has come.
    try:
        threading._shutdown()  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _work(files: Sequence[int]) -> int:
    request, answer, log = files
    print_to(log)
    asked = read_request(os.fdopen(request, "rb"))
    _prepare(asked)
    result, code = pickle.loads(asked.call)()  # noqa: S301 (pickled by our own parent)
    with os.fdopen(answer, "wb") as file:
        file.write(result)
    return code


def live_with_parent(parent: int, lifeline: int) -> None:
    """Be asked to stop when the fork server dies, be killed if that does not help; hear signals.

    Args:
        parent: The process that must live.
        lifeline: Descriptor of a pipe that ends when it dies.
    """
    asked_by_system = die_with_parent(signal.SIGTERM)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in MEANT_FOR_JOBS[1:]:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, MEANT_FOR_JOBS)
    if os.getppid() != parent:  # it died before the system knew
        os._exit(1)
    watch = threading.Thread(
        target=_watch, args=(lifeline,), kwargs={"ask": not asked_by_system}, daemon=True
    )
    watch.start()


def _watch(lifeline: int, *, ask: bool) -> None:
    os.read(lifeline, 1)
    if ask:
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os.killpg(0, signal.SIGKILL)


def print_to(log: int) -> None:
    """Send all that is printed to the job's log, line by line, C libraries' last words as well."""
    null = os.open(os.devnull, os.O_RDONLY)
    for descriptor, standard in ((null, 0), (log, 1), (log, 2)):
        os.dup2(descriptor, standard)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    faulthandler.enable()


def _prepare(request: Request) -> None:
    """Make this process what a new one of the launcher's would be."""
    os.environ.clear()
    os.environ.update(request.environment)
    os.chdir(request.folder)
    sys.argv[:] = request.arguments
    sys.path[:] = request.path
    compute_with(request.threads)
    if "numpy" in sys.modules:  # else all jobs would draw the same numbers
        sys.modules["numpy"].random.seed()


def compute_with(threads: int) -> None:
    """Let numeric libraries have so many threads, whether or not they are imported."""
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
    if "torch" in sys.modules:  # it has read its environment already
        sys.modules["torch"].set_num_threads(threads)
