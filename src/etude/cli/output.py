"""What a command prints, for a person or a script, to what may be closed or full."""

import io
import json
import sys
import warnings
from typing import Any

from etude.cli.terminal import complain, console, errors
from etude.report.narrow import wrapped

_unprinted: list[OSError] = []
_warned: set[str] = set()


def be_lenient() -> None:
    """Write ? for what the terminal's encoding lacks, and nothing where nobody reads any more.

    A run goes on, with its log, when what it prints to was closed, as `head` does, or is full.
    What libraries warn of is a line each.
    """
    warnings.showwarning = _show_warning
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
            if isinstance(stream.buffer, io.BufferedWriter | io.FileIO):  # no test's own
                stream.flush()
                setattr(sys, name, _lasting(stream))


def _lasting(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """Open a stream once more, to outlive its reader."""
    return io.TextIOWrapper(
        io.BufferedWriter(_Pipe(stream.fileno(), "wb", closefd=False)),
        encoding=stream.encoding,
        errors="replace",
        line_buffering=True,
        write_through=stream.write_through,
    )


class _Pipe(io.FileIO):
    """A stream that may lose its reader."""

    def write(self, data: Any) -> int | None:
        """Write, or take it as written where nobody reads, or there is no room."""
        try:
            return super().write(data)
        except BrokenPipeError:
            pass
        except OSError as error:
            _unprinted.append(error)
        return memoryview(data).nbytes


def code_of_printed(code: int) -> int:
    """Give a command's exit code: 1 in place of 0 where what it printed did not get there."""
    if not _unprinted:
        return code
    complain(f"what was printed is not whole: {_unprinted[0].strerror}")
    return code or 1


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning, once, without the line of code that it is from."""
    if str(message) not in _warned:
        _warned.add(str(message))
        errors.print(wrapped(f"warning: {message}", errors), markup=False)


def show_json(value: object, *, indent: int | None = 2) -> None:
    """Print JSON, in ASCII where the stream cannot hold it otherwise: nothing becomes a `?`."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")  # a program's own stream may have none
    except UnicodeEncodeError:  # or a name that is no UTF-8, whose bytes os.fsencode gives back
        text = json.dumps(value, indent=indent)
    console.out(text, highlight=False)


def show_csv(text: str) -> None:
    """Print CSV in UTF-8, whatever the locale, and names that are none by their own bytes."""
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:  # a program's own stream
        sys.stdout.write(text)
        return
    sys.stdout.flush()
    buffer.write(text.encode("utf-8", "surrogateescape"))
    buffer.flush()
