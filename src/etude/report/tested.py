"""What an arm's runs were tested on: how many images of which classes, and what guessing gives."""

from collections.abc import Iterator, Sequence

from etude.report.arms import Arm
from etude.report.read import RunFolder
from etude.report.words import NONE, setting

# A sweep or a study may vary these; results on other images or classes answer another question.
_KEYS = ("dataset._target_", "dataset.classes", "dataset.limit_test")
OTHER = "tested on other images than the baseline"

Tested = tuple[str, ...]


def tested_images(arm: Arm) -> int:
    """Count the images that an arm's runs were tested on; 0 where it is not known."""
    done = (run for run in arm.runs if run.state.has_result)
    return min((run.summary.get("data", {}).get("test", 0) for run in done), default=0)


def tested_on(run: RunFolder) -> Tested | None:
    """Tell a run's test from others, as far as its summary does; None before it has begun."""
    if not run.hyperparameters:
        return None
    data = run.summary.get("data", {})
    counts = (str(data.get(key, NONE)) for key in ("test", "classes"))
    return *(setting(run.hyperparameters.get(key)) for key in _KEYS), *counts


def same_test(arm: Arm, other: Arm) -> bool:
    """Say whether two arms were tested on the same images, as far as that is known."""
    ours, theirs = ({*_tests(each)} for each in (arm, other))
    return not ours or not theirs or ours == theirs


def chance(arm: Arm, runs: Sequence[RunFolder]) -> float | None:
    """Give the accuracy of always naming the most frequent class; None where it is not known.

    Args:
        arm: Of whose test images.
        runs: Others, asked where its own do not say: those that were tested on the same.
    """
    own = {*_tests(arm)}
    for run in (*arm.runs, *(run for run in runs if not own or tested_on(run) in own)):
        if run.confusion is not None:
            rows = [sum(row) for row in run.confusion.counts]
            return max(rows) / sum(rows)
    classes = {run.summary.get("data", {}).get("classes") for run in arm.runs} - {None}
    return 1 / max(classes) if classes else None


def _tests(arm: Arm) -> Iterator[Tested]:
    return (found for run in arm.runs if (found := tested_on(run)) is not None)
