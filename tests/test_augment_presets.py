"""Every preset of conf/augment trains, alike from memory and from files; others are refused."""

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


# Each beyond an end of its range; a shift of 1 would be a pixel to Keras.
REFUSED = {
    "crop=corner": "one of place, area",
    "interpolation=lanczos": "one of nearest, bilinear, bicubic, random",
    "shift_fraction=1.0": "a fraction at least 0 and below 1",
    "rotation_degrees=181.0": "0 to 180",
    "shear_degrees=-1.0": "0 to 89",
    "zoom=1.0": "a fraction at least 0 and below 1",
    "fill=reflect": "one of constant, nearest",
    "crop_padding=1025": "0 to 1024",
    "flip_probability=-0.1": "a fraction at least 0 and at most 1",
    "photometric=1.1": "a fraction at least 0 and at most 1",
    "colour_std=11.0": "0 to 10",
    "erase_probability=1.5": "a fraction at least 0 and at most 1",
    "erase_fit=shrink": "one of again, cut",
    "erase_fill=black": "one of value, noise",
}


def test_every_setting_has_one_rule_which_is_told_before_the_run(
    etude: Callable[..., int], workplace: Path, capsys: pytest.CaptureFixture[str]
):
    assert etude(*(f"augment.{words}" for words in REFUSED)) == 2
    told = capsys.readouterr().err.splitlines()
    assert sorted(line.removesuffix(", or null") for line in told) == sorted(
        f"etude: augment.{words} must be {rule}" for words, rule in REFUSED.items()
    )
    assert not list(workplace.iterdir())
