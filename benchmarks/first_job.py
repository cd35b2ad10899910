"""The command `etude`, ended where its first job would start: prints the CPU seconds until then.

python -m benchmarks.first_job -m "seed=range(1000)"
"""

import os
import sys
import time

from benchmarks.altered import replace, words_of_etude


def main() -> None:
    words = words_of_etude(__doc__)
    from etude.cli import app  # noqa: PLC0415 (its imports belong to the time)
    from etude.launch.pool import Pool  # noqa: PLC0415 (likewise)

    def leave(*_: object) -> None:
        print(f"{time.process_time():.3f}", flush=True)
        os._exit(0)

    replace(Pool, "_start_one", leave)
    # It was refused, or all jobs were finished already.
    sys.exit(app.main(words) or "the command ended without a job that begins")


if __name__ == "__main__":
    main()
