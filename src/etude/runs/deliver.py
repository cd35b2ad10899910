"""A process that hands one message over and ends: `deliver.py <command or address> <message>`.

It is started by `etude.runs.notify`, and nobody waits for it. It imports nothing of Étude's, so
that it starts in some hundredths of a second, and it is a file of its own, so that it can be run.
"""

import shlex
import subprocess
import sys
import urllib.request
from contextlib import suppress

SECONDS = 60  # that the receiver may take


def deliver(receiver: str, message: str) -> None:
    """POST a message to an address, or give it to a command's standard input."""
    data = message.encode()
    if receiver.startswith(("http://", "https://")):
        told = {"Content-Type": "application/json"}
        asked = urllib.request.Request(receiver, data, told, method="POST")  # noqa: S310
        with urllib.request.urlopen(asked, timeout=SECONDS):  # noqa: S310
            return
    subprocess.run(  # noqa: S603 (the user's own command, from the user's own words)
        shlex.split(receiver), input=data, check=False, timeout=SECONDS
    )


if __name__ == "__main__":
    with suppress(OSError, ValueError, subprocess.SubprocessError):  # nobody is there to be told
        deliver(*sys.argv[1:])
