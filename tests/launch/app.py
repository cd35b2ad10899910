"""An application of nobody's, as anybody would write it with Hydra: `do` says what to do."""

import ctypes
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hydra


class StubbornError(Exception):
    """Cannot be made again from its message, and so cannot be unpickled."""

    def __init__(self, one, two):
        super().__init__(one + two)


def notes():
    return Path(hydra.utils.get_original_cwd()) / "notes"


def note(words):
    with notes().open("a") as file:
        file.write(f"{words}\n")


def fail(words="no such thing"):
    raise ValueError(words)


def fail_late():
    while "listening" not in notes().read_text():
        time.sleep(0.02)
    fail()


def be_stubborn():
    raise StubbornError("no ", "way")


def fail_once():
    tried = Path("tried")
    if not tried.exists():
        tried.touch()
        fail("not at the first try")


def listen(answer):
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, answer)
    note("listening")
    time.sleep(60)


def save(number, _):
    note(f"saved {number}")
    sys.exit(130 if number == signal.SIGINT else 75)


def pool():
    """Leave threads behind that wait for work, as PyTorch's compiler does."""
    global POOL  # noqa: PLW0603
    POOL = ThreadPoolExecutor(2)
    POOL.submit(int).result()


DEEDS = {
    "pool": pool,
    "raise": fail,
    "late": fail_late,
    "stubborn": be_stubborn,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segfault": lambda: ctypes.string_at(0),
    "exit": lambda: sys.exit(3),
    "leave": sys.exit,
    "once": fail_once,
    "save": lambda: listen(save),
    "deaf": lambda: listen(signal.SIG_IGN),
}


def task(config):
    do = config.get("do", "work")
    note(f"{do} {os.getpid()} {os.getpgid(0)} {os.environ['OMP_NUM_THREADS']} {sys.argv[0]}")
    sys.stdout.write(f"doing {do}\n")
    DEEDS.get(do, lambda: time.sleep(config.get("seconds", 0)))()
    return 7


# HOOKS

if __name__ == "__main__":
    hydra.main(version_base=None, config_path=None)(task)()
