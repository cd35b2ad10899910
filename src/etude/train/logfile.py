"""A run's own log: its messages, warnings and tracebacks."""

import logging
import sys
import warnings
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from etude.runs.names import RUN_LOG

log = logging.getLogger(__name__)


class _Log(logging.FileHandler):
    """A log that a full disk cuts short, without a word: the terminal has what is said."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Pass over what cannot be written; tell of a mistake in the message itself."""
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)

    def close(self) -> None:
        """Close the file, whether or not what it still holds can be written."""
        with suppress(OSError):
            super().close()


@contextmanager
def logged(folder: Path) -> Generator[None]:
    """Write what is said meanwhile to `run.log` in the run's folder, warnings included."""
    handler = _Log(folder / RUN_LOG, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("etude")
    logger.setLevel(logging.DEBUG)  # in a launcher's process nobody else has
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            yield
    finally:
        logger.removeHandler(handler)
        handler.close()


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    log.warning("%s", message)
