"""How a run ends: its weights are scored on the test split, kept, and looked at."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import save_file

from etude.atomic import replacing
from etude.config import Config
from etude.hardware import peak_memory
from etude.loop import Plan, evaluate
from etude.record.confusion import confusion, write_confusion
from etude.runs.names import BEST
from etude.state import State

if TYPE_CHECKING:
    from etude.record.events import Events
    from etude.record.views import Views


def finish(
    folder: Path,
    state: State,
    plan: Plan,
    rows: list[dict[str, Any]],
    events: "Events | None",
) -> dict[str, Any]:
    """Score the final and the best weights on the test split, and keep the best.

    Args:
        folder: The run's; gets the best weights.
        state: After the last step; its model holds the best weights afterwards.
        plan: What the epochs were judged by.
        rows: Every epoch's metrics.
        events: TensorBoard's view; None where it is off.

    Returns:
        What the summary says of a finished run.
    """
    final = _result(rows[-1]) | _tested(state, plan, rows[-1])
    best = final
    if state.best is not None and state.best.epoch != rows[-1]["epoch"]:
        state.evaluated.load_state_dict(state.best.weights)
        row = rows[state.best.epoch - 1]
        best = _result(row) | _tested(state, plan, row)
    if events is not None and "test" not in plan.evaluations:
        events.epoch({key: final[key] for key in ("epoch", "test_loss", "test_accuracy")})
    weights = {key: value.contiguous() for key, value in state.evaluated.state_dict().items()}
    with replacing(folder / BEST) as temporary:
        save_file(weights, temporary, metadata={"epoch": str(best["epoch"])})
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


def look(
    config: Config,
    folder: Path,
    state: State,
    plan: Plan,
    classes: Sequence[str],
    views: "Views | None",
    *,
    epoch: int,
) -> None:
    """Look closer at what the best weights, now in the model, make of the test split.

    Args:
        config: Says what is looked at.
        folder: The run's; gets the confusion matrix.
        state: Holds the model.
        plan: The test split, and how the network is run.
        classes: Names, in the order of the labels.
        views: TensorBoard's pictures; None where it is off.
        epoch: The one whose weights these are.
    """
    counts = None
    if config.record.confusion:
        counts = confusion(
            plan.tested(state.evaluated),
            plan.test,
            state.device,
            classes=len(classes),
            precision=plan.precision,
            batch_size=plan.eval_batch_size,
        )
        write_confusion(folder, counts, classes, epoch=epoch)
    if views is not None:
        views.finish(state, epoch, counts)


def _result(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: value
        for key, value in row.items()
        if key in {"epoch", "penalty"} or key.endswith(("_loss", "_accuracy"))
    }


def _tested(state: State, plan: Plan, row: dict[str, Any]) -> dict[str, float]:
    """Score the model's weights on the test split, unless its epoch has done so alike."""
    if "test" in plan.evaluations and plan.look is None:
        return {key: row[key] for key in ("test_loss", "test_accuracy")}
    score = evaluate(
        plan.tested(state.evaluated),
        plan.test,
        state.device,
        precision=plan.precision,
        batch_size=plan.eval_batch_size,
    )
    return {"test_loss": score.loss, "test_accuracy": score.accuracy}
