"""Every preset of conf/augment trains, and alike from memory and from files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import summary_of
from PIL import Image

CONF = Path(__file__).parents[1] / "conf" / "augment"
PRESETS = sorted(path.stem for path in CONF.glob("*.yaml"))
# What the presets for large images need to be made smaller by.
SMALLER = {"resnet": ["augment.scales=[12,20]"]}
WORDS = [
    "model=cnn4", "dataset=folder", "dataset.root=made", "dataset.input_size=12",
    "dataset.load_size=16", "dataset.fit=crop", "dataset.normalize=unit",
    "dataset.validation_split=none", "train.epochs=2", "train.batch_size=4",
    "record.curves=false", "record.tensorboard=false",
]  # fmt: skip


@pytest.fixture
def made(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ETUDE_CACHE", str(workplace / "cache"))
    noise = np.random.default_rng(0)
    for part, count in (("train", 4), ("test", 2)):
        for name in ("cat", "dog"):
            folder = workplace / "made" / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = noise.integers(256, size=(20, 30, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    return workplace


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_trains_alike_from_memory_and_from_files(
    etude: Callable[..., int], made: Path, preset: str
):
    words = [*WORDS, f"augment={preset}", *SMALLER.get(preset, [])]
    losses: list[float] = []
    for where in ("false", "true"):
        assert etude(*words, f"dataset.stream={where}", f"name=stream_{where}") == 0
        (folder,) = made.glob(f"outputs/stream_{where}/*")
        losses.append(summary_of(folder)["final"]["train_loss"])
    assert losses[0] == losses[1] < 5
