"""PNG files from a second process, which loads matplotlib while the first one reads the runs."""

import pickle
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self

from etude.launch.machine import cores
from etude.report.charts import Chart

Groups = Sequence[Sequence[Chart]]

_CODE = """\
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from etude.report.painter import serve
serve()
"""


class Painter:
    """Draws charts into PNG files; as a context, it leaves no process behind however it ends.

    Args:
        apart: Use a second process, if there is a second core for it; it takes half a second until
            it can draw, so make the painter before there is anything to draw.
    """

    def __init__(self, *, apart: bool) -> None:
        self._begun: tuple[Groups, Path] = ([], Path())
        self._process = _start() if apart and cores() > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            with suppress(BrokenPipeError):
                self._process.communicate()

    def begin(self, groups: Groups, folder: Path) -> None:
        """Begin to draw each group of charts into one file of the folder, which is there."""
        self._begun = groups, folder
        if self._process is not None:
            with suppress(BrokenPipeError):  # it is gone, as `finish` will find
                _send(self._process, self._begun)

    def finish(self) -> None:
        """Wait until the files are there.

        Raises:
            OSError: A file cannot be written.
        """
        # What the process could not do is done again here, where its errors are anybody's.
        if self._process is None or not self._process.stdout or not self._process.stdout.read(1):
            _paint(*self._begun)


def serve() -> None:
    """Draw what comes from the standard input, and say so by a byte each time, until its end."""
    # Meanwhile, not before: a pipe holds less than what is to be drawn, and its writer would wait.
    Thread(target=import_module, args=["etude.report.figures"]).start()
    with suppress(EOFError):
        while True:
            _paint(*pickle.load(sys.stdin.buffer))  # noqa: S301 (from our own parent)
            sys.stdout.buffer.write(b"\n")
            sys.stdout.buffer.flush()


def _start() -> subprocess.Popen[bytes]:
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-P", "-c", _CODE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for the first process, which ends this one
    )
    _send(process, sys.path)
    return process


def _send(process: subprocess.Popen[bytes], value: object) -> None:
    if process.stdin:
        pickle.dump(value, process.stdin)
        process.stdin.flush()


def _paint(groups: Groups, folder: Path) -> None:
    from etude.report.figures import save  # noqa: PLC0415 (matplotlib takes half a second)

    for group in groups:
        save(group, folder)
