"""The command `etude` with a method of its own replaced, so that a benchmark can look into it."""

import argparse
import sys
from collections.abc import Callable
from typing import Any


def words_of_etude(doc: str) -> list[str]:
    """Give the command line's words, all of which are for `etude`: all but `--help`.

    Args:
        doc: Of the benchmark; its first line is the help.
    """
    usage = "%(prog)s [-h] [any word of etude's ...]"
    parser = argparse.ArgumentParser(
        usage=usage, description=doc.partition("\n")[0], allow_abbrev=False
    )
    return parser.parse_known_args()[1]


def replace(owner: type, name: str, other: Callable[..., Any]) -> Callable[..., Any]:
    """Put a function in the place of a class's own method; give what was there.

    Raises:
        SystemExit: There is none: without it, the command would do all that it does, unmeasured.
    """
    # Not `hasattr`, for which a class without `__call__` has its metaclass's.
    if name not in vars(owner):
        sys.exit(
            f"{owner.__module__}.{owner.__qualname__} has no {name} of its own, which this "
            "benchmark replaces; give it the method's name of today"
        )
    whole = vars(owner)[name]
    setattr(owner, name, other)
    return whole
