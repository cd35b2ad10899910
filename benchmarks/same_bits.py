"""Ten small runs, each with the hash of its best weights and of its metrics without times.

A change that is to leave results alone prints the same lines before and after, on one machine:

    python -m benchmarks.same_bits > before
    python -m benchmarks.same_bits > after && diff before after
"""

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SMALL = ["dataset.limit_train=200", "dataset.limit_test=50", "train.epochs=2",
         "record.curves=false", "record.tensorboard=false"]  # fmt: skip
OPTIMIZERS = ("adadelta,adadelta_keras,adam,adam_keras,rmsprop,rmsprop_keras,rmsprop_tensorflow,"
              "sgd,sgd_keras")  # fmt: skip
AUGMENTATIONS = ("none,shift,shift_flip,crop_flip,crop_flip_erase,crop_flip_noise_erase,"
                 "noise_erase,keras_generator,resnet,inception,alexnet")  # fmt: skip
COMMANDS = {
    "every optimizer": ["-m", f"optimizer={OPTIMIZERS}", *SMALL],
    "every augmentation": ["-m", f"augment={AUGMENTATIONS}", "augment.colour_std=0", *SMALL,
                           "dataset.input_size=32", "dataset.load_size=36"],
    "every scheduler": ["-m", "scheduler=constant,cosine,exponential,inverse_time,plateau,steps",
                        *SMALL],
    "batch norm and crops": ["experiment=vgg_digits", *SMALL],
    "auxiliary heads": ["experiment=inception_digits", *SMALL],
    "residual": ["experiment=resnet_digits", "model.depth=8", *SMALL],
    "bfloat16": ["precision=bfloat16", *SMALL],
    "averaged weights": ["train.average_decay=0.9", "train.clip_norm=1",
                         "train.label_smoothing=0.1", *SMALL],
    "a study": ["study=optimizers", "size=small", *SMALL],
}  # fmt: skip
CUT = ["train.epochs=12", "train.checkpoint_steps=3", "name=cut", "record.tensorboard=false"]


def main() -> None:
    """Print a line for each run."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, words in COMMANDS.items():
            _etude(Path(folder, name.replace(" ", "_")), words)
            _show(name, Path(folder, name.replace(" ", "_")))
        _cut(Path(folder, "cut"))
        _show("cut by SIGKILL and gone on", Path(folder, "cut"))


def _command(words: list[str]) -> list[str]:
    return [sys.executable, "-m", "etude", *words]


def _environment(outputs: Path) -> dict[str, str]:
    return {**os.environ, "ETUDE_OUTPUTS": str(outputs), "OMP_NUM_THREADS": "1"}


def _etude(outputs: Path, words: list[str]) -> None:
    done = subprocess.run(  # noqa: S603 (our own)
        _command(words), check=False, env=_environment(outputs), capture_output=True, text=True
    )
    if done.returncode:
        sys.exit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def _cut(outputs: Path) -> None:
    """Kill a run once it has saved, and go on."""
    kill_once_saved(_command(CUT), outputs, _environment(outputs))
    _etude(outputs, CUT)


def kill_once_saved(command: list[str], outputs: Path, environment: dict[str, str]) -> bool:
    """Start a run, and kill it once it has a checkpoint; say whether it was still at work."""
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=environment, **silent)  # noqa: S603 (our own)
    while process.poll() is None and not list(outputs.glob("*/*/last.ckpt")):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def rows_of(folder: Path) -> list[dict[str, object]]:
    """Give a run's metrics without those that tell of time and memory."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [timeless(json.loads(line)) for line in lines]


def _show(name: str, outputs: Path) -> None:
    for weights in sorted(outputs.glob("*/*/best.safetensors")):
        rows = rows_of(weights.parent)
        label = weights.parent.name.rpartition("-")[0]  # without the fingerprint
        print(f"{name:28} {label:44} {_hash(tensors_of(weights))} "
              f"{_hash(json.dumps(rows).encode())}", flush=True)  # fmt: skip


def tensors_of(weights: Path) -> bytes:
    """Read what a file of weights holds, without its header, which tells whose they are."""
    data = weights.read_bytes()
    return data[8 + int.from_bytes(data[:8], "little") :]


def timeless(row: dict[str, object]) -> dict[str, object]:
    """Give a row of metrics without those that tell of time and memory."""
    timed = ("seconds", "images_per_second", "memory", "peak")
    return {key: value for key, value in row.items() if not key.startswith(timed)}


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


if __name__ == "__main__":
    main()
