"""The command `etude`, ended after its first step: prints the seconds since the process began.

python -m benchmarks.first_step experiment=lenet5_mnist
"""

import os
import sys
import time
from pathlib import Path
from typing import Any


def since_process_start() -> float:
    """Give this process's age in seconds, to a hundredth."""
    fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # field 22: ticks after the boot
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def main() -> None:
    from etude import app, loop  # noqa: PLC0415 (their imports belong to the time)

    train = loop.check_finite

    def leave(state: Any) -> None:
        train(state)  # waits for the device
        print(f"{since_process_start():.2f}", flush=True)
        os._exit(0)

    loop.check_finite = leave
    app.main(sys.argv[1:])


if __name__ == "__main__":
    main()
