"""What a tracker's own package reads of its store: `python tracker_readers.py mlflow FOLDER`."""

import json
import os
import struct
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

PROJECT = "runs"


def mlflow(store: Path) -> Iterator[dict[str, Any]]:
    package = import_module("mlflow")
    package.set_tracking_uri(f"sqlite:///{store / 'mlflow.db'}")
    client = package.MlflowClient()
    for _, row in package.search_runs(experiment_names=[PROJECT]).iterrows():
        points = client.get_metric_history(row["run_id"], "accuracy/train")
        yield {
            "name": row["tags.mlflow.runName"],
            "group": row["tags.arm"],
            "fingerprint": row["tags.fingerprint"],
            "lr": float(row["params.optimizer.lr"]),
            "accuracy": [[point.step, point.value] for point in points],
            "final": row["metrics.final/test_accuracy"],
            "pictures": [f.path for f in client.list_artifacts(row["run_id"], "pictures")],
            "seconds": (row["end_time"] - row["start_time"]).total_seconds(),
        }


def trackio(store: Path) -> Iterator[dict[str, Any]]:
    os.environ |= {"TRACKIO_DIR": str(store), "HF_HUB_OFFLINE": "1"}
    package = import_module("trackio")
    for run in package.Api().runs(PROJECT):
        rows = package.SQLiteStorage.get_logs(PROJECT, run.name, run_id=run.id)
        (picture,) = [key for key in rows[-1] if key.startswith("pictures/")]
        assert (store / "media" / rows[-1][picture]["file_path"]).exists()
        yield {
            "name": run.name,
            "group": run.config["_Group"],
            "fingerprint": run.config["fingerprint"],
            "lr": run.config["optimizer.lr"],
            "accuracy": [[row["step"], row["accuracy/train"]] for row in rows],
            "final": rows[-1]["final/test_accuracy"],
            "pictures": [f"{picture}.png"],
        }


def wandb(store: Path) -> Iterator[dict[str, Any]]:
    """Read offline runs by the package's own records; it has no reader in Python."""
    for path in sorted(store.glob("offline-run-*/*.wandb")):
        history: list[dict[str, Any]] = []
        found: dict[str, Any] = {}
        for record in _records(path.read_bytes()):
            kind = record.WhichOneof("record_type")
            if kind == "run":
                found |= {"name": record.run.display_name, "group": record.run.run_group}
                found |= _plain(record.run.config.update)
                assert record.run.project == PROJECT
            elif kind == "history":
                history.append(_plain(record.history.item))
            elif kind == "summary":
                found |= _plain(record.summary.update)
        (picture,) = [k for k in history[-1] if k.startswith("pictures/") and k.endswith(".path")]
        assert (path.parent / "files" / history[-1][picture]).exists()
        yield {
            **{key: found[key] for key in ("name", "group", "fingerprint")},
            "lr": found["optimizer.lr"],
            "accuracy": [[row["_step"], row["accuracy/train"]] for row in history],
            "final": found["final/test_accuracy"],
            "pictures": [picture.replace(".path", ".png")],
        }


def _plain(items: Any) -> dict[str, Any]:
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


def _records(data: bytes) -> Iterator[Any]:
    """Read the log format of LevelDB: blocks of 32 KiB, in which a record may be in parts."""
    record_type = import_module("wandb.proto.wandb_internal_pb2").Record
    body, at = b"", 7  # after the file's own heading
    while at + 7 <= len(data):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        piece = data[at + 7 : at + 7 + length]
        at += 7 + length
        body = piece if kind in {1, 2} else body + piece
        if kind in {1, 4}:
            yield record_type.FromString(body)


if __name__ == "__main__":
    reader = {"mlflow": mlflow, "trackio": trackio, "wandb": wandb}[sys.argv[1]]
    sys.stdout.write(json.dumps(list(reader(Path(sys.argv[2])))))
