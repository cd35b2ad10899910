"""Telling somebody that a run, or many, came to an end: `record.notify`.

The message goes to another process, which nobody waits for: whatever becomes of it, the run ends
as it would without.
"""

import json
import logging
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from etude.base.errors import UserError
from etude.runs import deliver
from etude.runs.records import finite

log = logging.getLogger(__name__)
_LEAVE = 'exec >/dev/null 2>&1 </dev/null; "$@" &'  # the shell's child, and so nobody's zombie


def notify(receiver: str | None, message: Mapping[str, Any]) -> None:
    """Tell that something has ended; it takes some thousandths of a second, and never fails.

    Args:
        receiver: A command, which gets JSON on its standard input, or an address, which gets it by
            POST; None tells nobody.
        message: What has ended, and how: `what`, `state`, `name`, `folder`, `text` and more.
    """
    if receiver is None:
        return
    text = json.dumps(finite({**message, "host": socket.gethostname()}), ensure_ascii=False)
    command = [sys.executable, "-I", "-S", deliver.__file__, receiver, text]
    try:
        subprocess.run(  # noqa: S603
            ["/bin/sh", "-c", _LEAVE, "sh", *command], check=True, start_new_session=True
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        log.warning("record.notify=%s could not be told (%s)", receiver, error)


def of_run(folder: Path, summary: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make the message about one run.

    Args:
        folder: The run's.
        summary: As it was written; `state` is `finished`, `failed` or `diverged`.
    """
    final = summary.get("final", {})
    state, accuracy, error = summary["state"], final.get("test_accuracy"), summary.get("error", "")
    how = f"test accuracy {accuracy:.4f}" if accuracy is not None else error
    return {
        "what": "run",
        "state": state,
        "name": summary["name"],
        "seed": summary["seed"],
        "folder": str(folder.absolute()),
        "test_accuracy": accuracy,
        "error": error,
        "text": f"run {folder.parent.name}/{folder.name} {state}: {how}",
    }


def of_many(folder: Path, states: Mapping[str, int]) -> Mapping[str, Any]:
    """Make the message about a study, a sweep or a search.

    Args:
        folder: That holds its runs.
        states: How many of them are in which state.
    """
    done = sum(states.get(state, 0) for state in ("finished", "pruned"))
    total = sum(states.values())
    counted = ", ".join(f"{count} {state}" for state, count in states.items())
    return {
        "what": "study",
        "state": "finished" if done == total else "failed",
        "name": folder.name,
        "folder": str(folder.absolute()),
        "runs": dict(states),
        "text": f"study {folder.name}: {counted}",
    }


def check_receiver(receiver: str | None) -> None:
    """Refuse a command that is not there: nobody would be told of anything.

    Raises:
        UserError: It is not, or its quotes are not closed.
    """
    if receiver is None or receiver.startswith(("http://", "https://")):
        return
    try:
        words = shlex.split(receiver)
    except ValueError as error:
        raise UserError(f"record.notify={receiver}: {error}; close its quotes") from error
    if not words or shutil.which(words[0]) is None:
        raise UserError(
            f"record.notify={receiver} is no command that can be found, and no address that begins "
            "with http:// or https://"
        )
