from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from etude.base.errors import UserError
from etude.data.sources.flowers17 import CLASSES, IMAGES, Flowers17
from etude.data.sources.source import DatasetInfo


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All 1,360 images, each of one shade: 15 times its class's number."""
    monkeypatch.setenv("ETUDE_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "17flowers" / "jpg"
    folder.mkdir(parents=True)
    for number in range(IMAGES):
        shade = np.full((4, 6, 3), 15 * (number // 80), dtype=np.uint8)
        Image.fromarray(shade).save(folder / f"image_{number + 1:04}.jpg")
    (folder / "files.txt").write_text("as in the archive")
    return tmp_path


def source(root: Path, **changes: object) -> Flowers17:
    settings = {"input_size": 2, "interpolation": "lanczos"}
    return Flowers17(root, **({"test_fraction": 0.2, "shuffle_seed": 0} | settings | changes))


def test_a_fifth_of_the_images_is_for_the_test_and_every_label_is_its_images(root: Path):
    assert source(root).facts() == DatasetInfo(1_088, 272, num_classes=17, channels=3, size=2)
    loaded = source(root).load()
    for part in (loaded.train, loaded.test):
        shades = part.images[:, 0, 0, 0].float()
        assert torch.equal((shades / 15).round().long(), part.labels)
    assert loaded.classes == CLASSES
    counts = loaded.train.labels.bincount() + loaded.test.labels.bincount()
    assert counts.tolist() == [80] * 17


def test_the_seed_decides_which_fifth(root: Path):
    first, again, other = (source(root, shuffle_seed=seed).divide().test for seed in (0, 0, 1))
    names = [[image.name for image in part.images] for part in (first, again, other)]
    assert names[0] == names[1]
    assert names[0] != names[2]


def test_missing_images_are_named(root: Path):
    (root / "17flowers" / "jpg" / "image_0007.jpg").unlink()
    with pytest.raises(UserError, match=r"lacks 1 of Flowers17's 1360 images.*image_0007\.jpg"):
        source(root).facts()
    with pytest.raises(UserError, match=r"unpack 17flowers\.tgz"):
        source(root / "elsewhere").facts()


def test_all_images_are_the_content_whichever_are_tested_on(root: Path):
    content = source(root).content()
    assert content is not None
    assert source(root, shuffle_seed=1, test_fraction=0.5).content() == content
    flowers = root / "17flowers" / "jpg"
    (flowers / "image_0007.jpg").write_bytes((flowers / "image_0100.jpg").read_bytes())
    assert source(root).content() != content
    (flowers / "image_0007.jpg").unlink()
    assert source(root).content() is None
