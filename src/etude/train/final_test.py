"""The final test: the weights are scored on the test split, kept, and looked at."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict, cast

from etude.base.atomic import replacing
from etude.runs.names import BEST
from etude.runs.records import EpochRow
from etude.train.builders import Parts
from etude.train.evaluate import Reader, Scorer, ask
from etude.train.hardware import peak_memory
from etude.train.loop import Plan, check_loss
from etude.train.record.confusion import ConfusionCounter, write_confusion
from etude.train.record.view import View
from etude.train.state import State
from etude.train.weights_file import write


class Ending(TypedDict):
    """What the summary says of a finished run; its results are an epoch's, with the test split."""

    state: str
    epochs: int
    final: Mapping[str, float]
    best: Mapping[str, float]
    selection: str
    seconds: float
    images_per_second: float
    peak_memory_bytes: int


def finish(
    folder: Path, parts: Parts, rows: Sequence[EpochRow], view: View, *, fingerprint: str
) -> Ending:
    """Score the final and the best weights on the test split, and keep the best.

    Args:
        folder: The run's; gets the best weights.
        parts: After the last step; their model holds the best weights afterwards.
        rows: Every epoch's metrics.
        view: Shows the final score, where no epoch has shown it.
        fingerprint: The run's, which its weights are known by.

    Raises:
        Diverged: The loss on the test split is NaN or infinite.
    """
    state, plan = parts.state, parts.plan
    row = rows[-1]
    final = best = _result(state, plan, row)
    if state.best is not None and state.best.epoch != row["epoch"]:
        state.evaluated.load_state_dict(state.best.weights)
        row = next(row for row in rows if row["epoch"] == state.best.epoch)
        best = _result(state, plan, row)
    if "test" not in plan.evaluations:
        view.scalars({key: final[key] for key in ("epoch", "test_loss", "test_accuracy")})
    _keep(folder, parts, {"run": fingerprint, "epoch": row["epoch"]})
    images = len(plan.train) * len(rows)
    training = sum(len(plan.train) / row["images_per_second"] for row in rows)
    return {
        "state": "finished",
        "epochs": len(rows),
        "final": final,
        "best": best,
        "selection": plan.select or "none (the final epoch)",
        "seconds": state.seconds,
        "images_per_second": images / training,
        "peak_memory_bytes": peak_memory(state.device),
    }


def _keep(folder: Path, parts: Parts, owner: Mapping[str, object]) -> None:
    """Write the weights that the model holds, with whose they are and how to use them."""
    told = {**owner, "inference": parts.preparation.plain()}
    with replacing(folder / BEST) as temporary:
        write(parts.state.evaluated.state_dict(), told, temporary)


def record_predictions(
    folder: Path, parts: Parts, view: View, *, epoch: int, confusion: bool
) -> None:
    """Look closer at what the best weights, now in the model, make of the test split.

    Args:
        folder: The run's; gets the confusion matrix.
        parts: After `finish`.
        view: Shows what there is to see.
        epoch: The one whose weights these are.
        confusion: Whether the confusion matrix is asked for.
    """
    counter = ConfusionCounter(len(parts.classes), parts.state.device) if confusion else None
    readers = [reader for reader in (counter, view.collector) if reader is not None]
    if readers:
        _ask(parts.state, parts.plan, *readers)
    counts = None if counter is None else counter.counts()
    if counts is not None:
        write_confusion(folder, counts, parts.classes, epoch=epoch)
    view.finish(parts.state, epoch, counts)


def _result(state: State, plan: Plan, row: EpochRow) -> Mapping[str, float]:
    """Score an epoch's weights on the test split, unless the epoch has done so alike."""
    result = {
        key: value
        for key, value in cast("Mapping[str, float]", row).items()
        if key in {"epoch", "penalty"} or key.endswith(("_loss", "_accuracy"))
    }
    if "test" in plan.evaluations and plan.test_views is None:
        return result
    scorer = Scorer(plan.tested(state.evaluated), state.device)
    _ask(state, plan, scorer)
    score = scorer.score(len(plan.test))
    check_loss(score.loss, state, int(row["epoch"]))
    return result | {"test_loss": score.loss, "test_accuracy": score.accuracy}


def _ask(state: State, plan: Plan, *readers: Reader) -> None:
    """Ask about the test split, in the views of it that the plan has."""
    ask(
        plan.tested(state.evaluated),
        plan.test,
        *readers,
        device=state.device,
        precision=plan.precision,
        batch_size=plan.eval_batch_size,
    )
