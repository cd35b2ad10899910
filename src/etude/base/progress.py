"""How far something is that takes its time: told in lines, unless a terminal shows it as a bar.

Whoever does it knows of no terminal; the door sets what shows it, in its own process alone.
"""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager

log = logging.getLogger(__name__)

SECONDS = 5.0  # between two lines

Tell = Callable[[int], None]  # takes how many are done
Show = Callable[[str, int], AbstractContextManager[Tell]]


def progress(what: str, total: int) -> AbstractContextManager[Tell]:
    """Give what takes note of how many are done, for as long as its context is open.

    Args:
        what: Is done with them, as `decoding images`.
        total: How many there are.
    """
    return _shows[-1](what, total)


@contextmanager
def shown_by(show: Show) -> Generator[None]:
    """Have progress shown otherwise for a while."""
    _shows.append(show)
    try:
        yield
    finally:
        _shows.remove(show)


@contextmanager
def lines(what: str, total: int) -> Generator[Tell]:
    """Tell of it in a line of the log now and then."""
    told = time.monotonic()

    def tell(done: int) -> None:
        nonlocal told
        if time.monotonic() - told > SECONDS:
            told = time.monotonic()
            log.info("%s: %d of %d", what, done, total)

    yield tell


_shows: list[Show] = [lines]
