"""What happens in a process of Ray's: one job, in a process that is new and ends with it."""

import os
import pickle
import platform
import signal
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

import ray

from etude.base.errors import INTERRUPTED
from etude.launch.child import compute_with, exit_code, print_to
from etude.launch.job import JobFailed
from etude.runs.claim import wait_while_claimed


@dataclass(frozen=True)
class Task:
    """All that a job needs on another machine.

    Args:
        call: What to do, pickled: a function of nothing that gives an answer and an exit code.
        environment: Variables, beside the machine's own.
        arguments: `sys.argv`, as the launcher's, so that a run records the command that made it.
        path: The launcher's `sys.path`, sought after the machine's own.
        working_folder: The launcher's.
        threads: That it may compute with.
        folder: Where it writes.
        log: The file that all it prints is added to.
        tries: How often it was started, this time included.
    """

    call: bytes
    environment: dict[str, str]
    arguments: list[str]
    path: list[str]
    working_folder: str
    threads: int
    folder: Path
    log: Path
    tries: int


def do(task: Task) -> tuple[bytes, int]:
    """Do a job; give what it returned, pickled, and an exit code.

    Raises:
        JobFailed: This machine lacks the launcher's working folder.
    """
    _prepare(task)
    answer = b""
    try:
        if task.tries > 1:  # the process before may not know yet that its machine is lost
            wait_while_claimed(task.folder)
        answer, code = pickle.loads(task.call)()  # noqa: S301 (pickled by our own launcher)
    except SystemExit as error:
        code = exit_code(error.code)
    except KeyboardInterrupt:  # how Ray cancels
        code = INTERRUPTED
    except BaseException:  # noqa: BLE001 (its log shall say so, whatever it is)
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return answer, code


def _prepare(task: Task) -> None:
    """Make this process what a new one of the launcher's would be, on whichever machine."""
    try:
        os.chdir(task.working_folder)
    except OSError as error:
        raise JobFailed(
            f"{platform.node()}: {error}; every machine of the cluster needs the folder that the "
            "command is given in, at the same path"
        ) from error
    task.log.parent.mkdir(parents=True, exist_ok=True)
    print_to(os.open(task.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644))
    print(f"try {task.tries} on {platform.node()}, process {os.getpid()}")  # noqa: T201
    os.environ.update(task.environment)
    if not ray.get_gpu_ids():
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the GPUs are for those who asked for some
    compute_with(task.threads)
    sys.argv[:] = task.arguments
    sys.path.extend(folder for folder in task.path if folder not in sys.path)
    # A closing terminal tells the launcher, which tells its jobs; two signals end one at once.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
