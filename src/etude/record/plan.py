"""What a study set out to do, for reports: its question, its arms, and the runs that it planned."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from etude.cli.study import Study
from etude.record.folder import write_json

PLAN = "study.json"


def write_plan(study: Study, runs: Iterable[tuple[str, int, Path]], command: Sequence[str]) -> None:
    """Put a study's plan into the folder that holds its runs.

    Runs that an earlier command planned in there (other seeds, another scale) stay in the plan.

    Args:
        study: What is asked, and the arms.
        runs: Of each run its arm's name, its seed and its folder.
        command: The words that were typed.
    """
    planned = list(runs)
    path = planned[0][2].parent / PLAN
    earlier = (read_plan(path.parent) or {}).get("runs", {})
    own = {folder.name: {"arm": arm, "seed": seed} for arm, seed, folder in planned}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(
        path,
        {
            "study": study.name,
            "question": study.question,
            "claim": study.claim,
            "source": study.source,
            "baseline": study.baseline,
            "metric": study.metric,
            "axes": list(study.axes),
            "arms": {arm.name: list(arm.levels) for arm in study.arms},
            "command": ["etude", *command],
            "runs": {**earlier, **own},
        },
    )


def read_plan(folder: Path) -> dict[str, Any] | None:
    """Give the plan of the study whose runs a folder holds, or None."""
    try:
        return json.loads((folder / PLAN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
