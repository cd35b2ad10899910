"""Processes of this machine."""

import os


def exists(process: int) -> bool:
    """Say whether there is such a process; 0 stands for none."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    return process != 0
