"""A run's own log: its messages, warnings and tracebacks."""

import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from etude.runs.names import RUN_LOG

log = logging.getLogger(__name__)


@contextmanager
def logged(folder: Path) -> Generator[None]:
    """Write what is said meanwhile to `run.log` in the run's folder, warnings included."""
    handler = logging.FileHandler(folder / RUN_LOG, encoding="utf-8")
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
