"""The command `etude-queue`: the commands that were left to this machine with `--detach`."""

import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from etude.base import locks
from etude.base.errors import UserError
from etude.base.text import counted, near
from etude.cli import entry
from etude.cli.fitted import fitted
from etude.cli.parser import Words
from etude.cli.terminal import complain, console
from etude.launch.commands import CommandQueue, state_folder
from etude.launch.commands_server import is_serving, start

EXAMPLES = """\
examples:
  etude study=optimizers size=small --detach    put a command into the queue, and return
  etude-queue                                   show the queue
  etude-queue follow 3                          what command 3 prints, as it comes
  etude-queue first 3                           before all that wait
  etude-queue remove 3                          what runs saves and stops
  etude-queue resize 1                          jobs on a device at a time, from now on
  etude-queue pause                             start nothing more; resume goes on
  etude-queue resume                            go on, as after a reboot
"""
_LOOK = 0.5  # seconds between two looks at a log
_PATIENCE = 10  # looks at a command that nobody is at work on: its server may be about to begin
_PLACE = "XDG_STATE_HOME names a folder for the queue that can be written to"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, 1 if a followed command failed, 2 if refused."""
    try:
        args = _parser().parse_args(arguments)
        return _ACTIONS[args.action](CommandQueue(state_folder()), args.value)
    except UserError as error:
        complain(error)
        return 2
    except OSError as error:
        complain(f"{error}; {_PLACE}")
        return 1


def _parser() -> Words:
    parser = Words.of(
        "etude-queue",
        "Show and change the queue of this machine's commands.",
        EXAMPLES,
    )
    parser.add_argument("action", nargs="?", default="show", choices=list(_ACTIONS))
    parser.add_argument("value", nargs="?", help="a command's number, or jobs a device for resize")
    return parser


def detach(words: Sequence[str]) -> int:
    """Put a command into the queue, and return; a server does it, of which the terminal is free."""
    try:
        queue = CommandQueue(state_folder())
        command = queue.add(words, Path.cwd(), os.environ)
        if not queue.paused:
            start(queue)
    except OSError as error:
        raise UserError(f"--detach: {error}; {_PLACE}") from error
    console.print(
        f"command {command.number} is in the queue; etude-queue follow {command.number} shows it",
        markup=False,
    )
    return 0


def _show(queue: CommandQueue, _: str | None) -> int:
    commands = queue.all()
    heading = ("number", "state", "in", "command")
    rows = [
        [str(one.number), one.state, near(Path(one.folder)), f"etude {shlex.join(one.words)}"]
        for one in commands
    ]
    if commands:
        console.print(fitted(heading, rows, console.width, long=3, left={"number", "state", "in"}))
    left = sum(command.left for command in commands)
    stands = _stands(queue) if left else _stands(queue).partition(";")[0]
    console.print(f"{left} to be done; the queue is {stands}")
    return 0


def _stands(queue: CommandQueue) -> str:
    """Say whether the queue is at work, and what makes it so."""
    if not queue.paused and is_serving(queue):
        return "at work"
    return f"{'paused' if queue.paused else 'not at work'}; etude-queue resume goes on"


def _follow(queue: CommandQueue, value: str | None) -> int:
    number, place, alone = _number(queue, "follow", value), 0, 0
    while True:
        command = queue.find(number)
        if queue.log(number).exists():
            with queue.log(number).open("rb") as file:
                file.seek(place)
                text = file.read()
            place += len(text)
            console.out(text.decode(errors="replace"), end="", highlight=False)
        if not command.left:
            console.print(f"command {number} is {command.state}")
            return int(command.state != "finished")
        alone = 0 if is_serving(queue) or locks.is_held(queue.lock(number)) else alone + 1
        if alone == _PATIENCE:
            console.print(f"command {number} waits: the queue is {_stands(queue)}")
        time.sleep(_LOOK)


def _pause(queue: CommandQueue, _: str | None) -> int:
    queue.pause(on=True)
    console.print("paused: no further command is started; etude-queue resume goes on")
    return 0


def _resume(queue: CommandQueue, value: str | None) -> int:
    """Go on with what is left; with a number, with a command that was stopped or failed as well."""
    chosen = None if value is None else _number(queue, "resume", value)
    queue.pause(on=False)
    queue.again(chosen)
    start(queue)
    left = sum(command.left for command in queue.all())
    console.print(f"going on: {counted(left, 'command')} to be done")
    return 0


def _remove(queue: CommandQueue, value: str | None) -> int:
    number = _number(queue, "remove", value)
    asked = queue.remove(number)
    console.print(
        f"command {number} is removed" + (", and was asked to save and stop" if asked else "")
    )
    return 0


def _first(queue: CommandQueue, value: str | None) -> int:
    number = _number(queue, "first", value)
    queue.first(number)
    console.print(f"command {number} comes before all that wait")
    return 0


def _resize(queue: CommandQueue, value: str | None) -> int:
    if value is None:
        raise UserError("resize needs how many jobs a device has at a time: auto, or a number")
    running = queue.resize(value)
    begun = "".join(f"; command {number} saves and goes on so" for number in running)
    jobs = "as many jobs as fit" if value == "auto" else counted(int(value), "job")
    console.print(f"from now on {jobs} on a device at a time{begun}")
    return 0


def _number(queue: CommandQueue, action: str, value: str | None) -> int:
    """Read a command's number.

    Raises:
        UserError: It is none, or no command has it.
    """
    if value is not None and value.isdecimal():
        return queue.find(int(value)).number
    numbers = sorted(command.number for command in queue.all())
    there = f"there are {', '.join(map(str, numbers))}" if numbers else "the queue is empty"
    needs = f"{action} needs a command's number" + (f", not {value}" if value else "")
    raise UserError(f"{needs}; {there}")


_ACTIONS: dict[str, Callable[[CommandQueue, str | None], int]] = {
    "show": _show,
    "follow": _follow,
    "first": _first,
    "remove": _remove,
    "resize": _resize,
    "pause": _pause,
    "resume": _resume,
}

if __name__ == "__main__":
    sys.exit(entry.queue())
