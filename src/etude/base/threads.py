"""How long the threads of numeric libraries wait awake for each other."""

import os
from collections.abc import MutableMapping

# libgomp's threads spin at the end of each parallel loop, for some milliseconds unless told
# otherwise: those that wait for a thread keep it from the core that it waits for. Images/s of
# LeNet-5 on the digits and on MNIST, two threads on two cores of an AMD EPYC, medians of turns:
#   spins        idle             beside 2 busy processes (and the worst turn)   beside 1
#   as it comes  11,963  25,190   2,618 (614)    4,801 (711)                     2,791   6,399
#   3,000        10,593  23,988   2,797 (1,191)  6,789 (4,019)                   2,412   5,210
#   5,000        11,658  23,391   2,994 (1,080)  6,446 (4,054)                   1,692   4,376
#   10,000       12,295  24,496   2,717 (2,377)  7,334 (5,985)                   1,182   3,247
#   one thread    9,209  15,281   6,488 (4,186)  10,072 (8,821)                  9,813  15,961
# Seconds for the digits on a Xeon with AMX (`python -m benchmarks.neighbour`), five turns each:
#                 idle   beside 2 busy processes (and the worst turn)
#   as it comes   1.14
#   5,000         1.35   5.1 (6.3)
#   10,000        1.23   4.9 (5.3)
#   20,000        1.22   3.8 (8.6)
#   30,000        1.15   6.5 (12.0)
#   one thread    1.25   2.1 (2.1)
# 30,000 are the fewest that cost nothing there; on the EPYC fewer did, and were all that was tried.
_SPINS = "30000"
SPINNING = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "KMP_BLOCKTIME")


def bound_spinning(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let OpenMP's threads fall asleep soon; it is read when PyTorch is loaded, so do it before.

    What the user has set stays.

    Args:
        environment: Of the process, or of one that is to be started.
    """
    if not any(key in environment for key in SPINNING):
        environment["GOMP_SPINCOUNT"] = _SPINS
