"""The three standard streams, which whoever starts a process may have closed."""

import os


def open_standard() -> None:
    """Give each standard stream that is closed a descriptor of /dev/null.

    Else the next file or socket that is opened takes its number, and is printed into, or is lost
    to a child that sets up streams of its own.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
