"""What runs were made from and on: data by its digest, machines, hours."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from etude.base.text import counted
from etude.report.read import RunFolder
from etude.runs.names import RUN_LOG

# Reading a counter before and after is not enough: what it counted belongs to all that the machine
# did meanwhile, and many systems let only root read it.
ENERGY = "not told: no run reads what its machine draws"
_SIZES = ("train", "validation", "test", "classes", "channels", "size")
_TIME = re.compile(r"^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d),\d{3} [A-Z]+ ", re.MULTILINE)


class Hardware(NamedTuple):
    """What a run was made on."""

    processor: str
    cores: int | None
    platform: str
    device: str

    def told(self) -> str:
        """Put it into words."""
        cores = "" if self.cores is None else f", {counted(self.cores, 'core')}"
        where = "" if self.device == "cpu" else f"{self.device} with "
        return f"{where}{self.processor}{cores} ({self.platform})"


def hardware_of(run: RunFolder) -> Hardware:
    """Give what a run was made on."""
    then = run.environment
    return Hardware(
        processor=str(then.get("processor", "an unknown processor")),
        cores=then.get("cores"),
        platform=str(then.get("platform", "an unknown system")),
        device=str(run.summary.get("device", "cpu")),
    )


def hours(runs: Sequence[RunFolder]) -> float:
    """Add up what runs took, the epochs of those that did not finish included."""
    return sum(map(_seconds, runs)) / 3600


def _seconds(run: RunFolder) -> float:
    whole = run.value("seconds")
    if run.state.has_result and whole is not None:
        return whole
    return sum(value for value in run.columns.get("seconds", ()) if math.isfinite(value))


def machines(runs: Sequence[RunFolder]) -> dict[Hardware, list[RunFolder]]:
    """Sort runs by what they were made on."""
    found: dict[Hardware, list[RunFolder]] = {}
    for run in runs:
        found.setdefault(hardware_of(run), []).append(run)
    return found


def computing(runs: Sequence[RunFolder]) -> Mapping[str, object]:
    """Give hardware, hours and energy, as `computing.json` has them."""
    there = machines(runs)
    unfinished = [run for run in runs if not run.state.has_result]
    return {
        "hours": hours(runs),
        "hours_of_unfinished_runs": hours(unfinished),
        "energy_joules": None,
        "energy": ENERGY,
        "machines": [
            {**machine._asdict(), "runs": len(own), "hours": hours(own)}
            for machine, own in there.items()
        ],
    }


def digest_of(run: RunFolder) -> str | None:
    """Give the digest of a run's data; None where it was not recorded."""
    found = run.summary.get("data", {}).get("digest")
    return None if found is None else str(found)


def data(runs: Sequence[RunFolder]) -> dict[str, Mapping[str, object]]:
    """Describe each data set that runs were made from, by its digest."""
    found: dict[str, Mapping[str, object]] = {}
    for run in runs:
        if (digest := digest_of(run)) is not None and digest not in found:
            told = run.summary["data"]
            found[digest] = {
                "name": str(run.hyperparameters.get("dataset._target_", "unknown")),
                **{key: told.get(key) for key in _SIZES},
            }
    return found


def contents(runs: Sequence[RunFolder]) -> dict[str, list[str]]:
    """Give the digests of what runs read, by its use: images, weights, code of one's own."""
    found: dict[str, dict[str, None]] = {}
    for run in runs:
        for key, digest in run.summary.get("contents", {}).items():
            found.setdefault(str(key), {})[str(digest)] = None
    return {key: list(digests) for key, digests in found.items()}


def began_and_ended(run: RunFolder) -> tuple[str, str] | None:
    """Give the times of the first and the last line of a run's log, of its machine's clock."""
    try:
        text = (run.folder / RUN_LOG).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    times = [f"{match[1]}T{match[2]}" for match in _TIME.finditer(text)]
    return (times[0], times[-1]) if times else None
