"""Where each command comes in and leaves: what holds before it is imported, and once it is done."""

import os
import signal
import sys
from importlib import import_module
from types import FrameType

from etude.base.errors import INTERRUPTED
from etude.base.startup import UNBEGUN
from etude.base.streams import open_standard


def etude() -> int:
    """Train: one run, a sweep, a study or a search."""
    return _command("app")


def summary() -> int:
    """Tell what a configuration's network is made of."""
    return _command("summary")


def report() -> int:
    """Compare arms."""
    return _command("report")


def compare() -> int:
    """Tell what differs between runs."""
    return _command("compare")


def check() -> int:
    """Hold runs against the ledger."""
    return _command("check")


def status() -> int:
    """Tell where runs stand."""
    return _command("status")


def queue() -> int:
    """Show and change the queue of commands."""
    return _command("queue")


def runs() -> int:
    """List runs."""
    return _command("runs")


def clean() -> int:
    """Remove what nobody needs."""
    return _command("clean")


def rerun() -> int:
    """Do again what a run's folder holds."""
    return _command("rerun")


def evaluate() -> int:
    """Look closer at what a run's network makes of images with known classes."""
    return _command("evaluate")


def predict() -> int:
    """Say what images show."""
    return _command("predict")


def export() -> int:
    """Write a run's network as one file."""
    return _command("export")


def _command(module: str) -> int:
    """Import a command and do it; Ctrl-C ends it without a traceback at any moment.

    Importing takes the first third of a second, and what Python does last as long again.
    """
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not under nohup
    if heeded:
        signal.signal(signal.SIGINT, _leave_unbegun if module == "app" else _leave)
    open_standard()
    main = import_module(f"etude.cli.{module}").main
    output = import_module("etude.cli.output")
    output.be_lenient()
    try:
        if heeded:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return output.code_of_printed(main())
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        if heeded:
            signal.signal(signal.SIGINT, _leave)


def _leave_unbegun(*_: int | FrameType | None) -> None:
    """End at once, and say that nothing has begun."""
    sys.stderr.write(f"etude: {UNBEGUN}\n")
    _leave()


def _leave(*_: int | FrameType | None) -> None:
    """End at once: there is nothing to save."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(INTERRUPTED)
