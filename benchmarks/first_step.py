"""The command `etude`, ended after its first step: prints the seconds since the process began.

python -m benchmarks.first_step experiment=lenet5_mnist
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from benchmarks.altered import replace, words_of_etude

if TYPE_CHECKING:
    from torch import Tensor


def main() -> None:
    words = words_of_etude(__doc__)
    from etude.base import startup  # noqa: PLC0415 (its imports belong to the time)
    from etude.cli import app  # noqa: PLC0415 (its imports belong to the time)
    from etude.train.step import Step  # noqa: PLC0415 (likewise)

    def leave(step: Step, *batch: Tensor, **how: bool) -> None:
        float(learn(step, *batch, **how).loss)  # waits for the device
        print(f"{startup.age():.2f}", flush=True)
        os._exit(0)

    learn = replace(Step, "__call__", leave)
    # It was refused, or the run was finished already.
    sys.exit(app.main(words) or "the command ended without a step")


if __name__ == "__main__":
    main()
