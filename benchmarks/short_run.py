"""The command `etude`, with only the first batches of every pass over a split.

A run that does everything that a run does, in little time; its memory is that of a whole one.

    python -m benchmarks.short_run experiment=vgg11_mnist train.epochs=1
"""

import sys
from collections.abc import Iterator
from itertools import islice
from typing import Any

from benchmarks.altered import replace, words_of_etude

BATCHES = 3


def shorten_evaluation(resident: Any) -> None:
    """Have a split give its first batches only, where it gives them in order."""

    def first(*arguments: Any, **options: Any) -> Iterator[Any]:
        return islice(whole(*arguments, **options), BATCHES)

    whole = replace(resident, "in_order", first)


def shorten_training(eager: Any) -> None:
    """Pass over an epoch's later steps."""

    def advance(self: Any, state: Any) -> None:
        if state.step < BATCHES:
            whole(self, state)
        else:
            state.step += 1

    whole = replace(eager, "advance", advance)


def main() -> int:
    words = words_of_etude(__doc__)
    from etude.cli.app import main as etude  # noqa: PLC0415 (imports count)
    from etude.data.resident import Resident  # noqa: PLC0415
    from etude.train.step import Eager  # noqa: PLC0415

    shorten_evaluation(Resident)
    shorten_training(Eager)
    return etude(words)


if __name__ == "__main__":
    sys.exit(main())
