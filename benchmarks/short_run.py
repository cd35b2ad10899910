"""The command `etude`, with only the first batches of every pass over a split.

A run that does everything that a run does, in little time; its memory is that of a whole one.

    python -m benchmarks.short_run experiment=vgg11_mnist train.epochs=1
"""

import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

BATCHES = 3


def shorten(resident: Any, method: str) -> None:
    """Have a method that gives batches give the first ones only."""
    whole = getattr(resident, method)

    def first(*arguments: Any, **options: Any) -> Iterator[Any]:
        return islice(whole(*arguments, **options), BATCHES)

    setattr(resident, method, first)


def main() -> int:
    from etude.app import main as etude  # noqa: PLC0415 (imports count)
    from etude.data.resident import Resident  # noqa: PLC0415

    for method in ("epoch", "in_order"):
        shorten(Resident, method)
    return etude(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
