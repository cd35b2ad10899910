"""Run folders made by hand, with nothing in them but what a report reads."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Make = Callable[..., Path]


def maker(tmp_path: Path) -> Make:
    """Make a run's folder below `runs/`; a result of None leaves it unfinished."""

    def folder(
        arm: str, seed: int, accuracy: float | None, *, epochs: int = 2, **summary: Any
    ) -> Path:
        path = tmp_path / "runs" / f"rate={arm}_seed={seed}-{seed:08x}"
        (path / ".hydra").mkdir(parents=True)
        words = f"- optimizer.lr={arm}\n- seed={seed}\n"
        (path / ".hydra" / "overrides.yaml").write_text(words)
        rows = [
            {"epoch": n, "train_loss": 1 / n, "train_accuracy": 1 - 1 / (n + 1),
             "validation_loss": 1 / n, "validation_accuracy": 1 - 1 / (n + 1)}
            for n in range(1, epochs + 1)
        ]  # fmt: skip
        (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        result = {"epoch": epochs, "test_accuracy": accuracy, "test_loss": 0.5}
        content = {
            "state": "finished", "name": "runs", "seed": seed, "fingerprint": f"{seed:08x}",
            "hyperparameters": {"optimizer.lr": float(arm), "l2": 0.0, "seed": seed},
            "device": "cpu", "precision": "float32", "data": {"test": 360},
            "final": result, "best": result, "selection": "validation", "seconds": 10.0 + seed,
            "images_per_second": 1000.0, "peak_memory_bytes": 2**30, "reference": [],
        }  # fmt: skip
        (path / "summary.json").write_text(json.dumps(content | summary))
        return path

    return folder


def unfinished(state: str, **others: Any) -> dict[str, Any]:
    """What a run's summary says instead when it has not come to its end."""
    return {"state": state, "final": {}, "best": {}, **others}
