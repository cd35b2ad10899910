"""Processes of this machine."""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def exists(process: int) -> bool:
    """Say whether there is such a process; 0 stands for none."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    return process != 0


def die_with_parent(number: int) -> bool:
    """Let the system send this process a signal when its parent dies; say whether it can."""
    if sys.platform != "linux":
        return False
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)
    return True
