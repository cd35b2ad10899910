"""Python's search for garbage in circles, put off while many small objects are made."""

import gc
from collections.abc import Generator
from contextlib import contextmanager

_OBJECTS = 50_000  # some twenty composed configurations: 6 MB


@contextmanager
def seldom_sought() -> Generator[None]:
    """Look for circles after 50,000 new objects, not 700.

    Configurations that stay are copied in half of the time so (1.8 ms each, not 3.4).
    """
    before = gc.get_threshold()
    if before[0]:  # 0: never, by the user's own wish
        gc.set_threshold(max(before[0], _OBJECTS), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
