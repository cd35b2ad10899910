import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from augmenting import LARGEST, assert_a_gpu_agrees, assert_changes_images_alike, random
from scipy import ndimage
from torch import Tensor

from etude.data.augment.augment import Augment
from etude.data.augment.moves import Shift

KERAS: dict[str, Any] = {
    "shift_fraction": 0.2, "rotation_degrees": 40.0, "shear_degrees": 20.0, "zoom": 0.2,
}  # fmt: skip
SETTINGS = [
    KERAS,
    {"rotation_degrees": 180.0},
    {"shear_degrees": 60.0},
    {"zoom": 0.9},
    {"shift_fraction": 0.9, "zoom": 0.1},
]


@pytest.fixture
def images() -> Tensor:
    return random(60, 3, 15, 10) * 255


def keras_map(settings: dict[str, Any], draws: list[float]) -> npt.NDArray[np.float64]:
    """The matrix of Keras 2.1.6's random_transform, written down from its definition."""
    height, width = 15, 10
    given = iter(draws)

    def draw(key: str) -> float:
        reach = settings.get(key, 0.0)
        return (2 * next(given) - 1) * reach if reach else 0.0

    down, right = draw("shift_fraction") * height, draw("shift_fraction") * width
    theta, shear = (math.radians(draw(key)) for key in ("rotation_degrees", "shear_degrees"))
    zx, zy = 1 + draw("zoom"), 1 + draw("zoom")
    rotation = [[math.cos(theta), -math.sin(theta), 0], [math.sin(theta), math.cos(theta), 0]]
    matrices = [
        [*rotation, [0, 0, 1]],
        [[1, 0, down], [0, 1, right], [0, 0, 1]],
        [[1, -math.sin(shear), 0], [0, math.cos(shear), 0], [0, 0, 1]],
        [[zx, 0, 0], [0, zy, 0], [0, 0, 1]],
    ]
    middle = height / 2 + 0.5, width / 2 + 0.5
    there = [[1, 0, middle[0]], [0, 1, middle[1]], [0, 0, 1]]
    back = [[1, 0, -middle[0]], [0, 1, -middle[1]], [0, 0, 1]]
    return np.linalg.multi_dot([np.array(m, dtype=float) for m in (there, *matrices, back)])


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("fill", ["nearest", "constant"])
def test_a_map_is_scipys_of_keras_matrix(images: Tensor, settings: dict[str, Any], fill: str):
    augment = Augment(**settings, fill=fill, fill_value=77.0)
    draws = random(60, augment.draws, seed=1)
    mode = {"mode": "nearest"} if fill == "nearest" else {"mode": "constant", "cval": 77.0}
    for image, own, mine in zip(images, draws.tolist(), augment(images, draws), strict=True):
        found = keras_map(settings, own)
        for channel, result in zip(image.double().numpy(), mine, strict=True):
            expected = ndimage.affine_transform(
                channel, found[:2, :2], found[:2, 2], order=1, **mode
            )
            np.testing.assert_allclose(result.numpy(), expected, rtol=0, atol=1e-4)


def test_a_map_of_nothing_is_the_image_to_the_bit(images: Tensor):
    augment = Augment(**KERAS, fill_value=9.0)
    assert torch.equal(augment(images, torch.full((60, augment.draws), 0.5)), images)


def test_a_shift_in_a_map_takes_the_shifts_draws_and_moves_as_far(images: Tensor):
    mapped = Augment(shift_fraction=0.3, zoom=0.2, fill="nearest")
    draws = torch.cat((random(60, 2), torch.full((60, 2), 0.5)), dim=1)
    alone = Shift(0.3, None)(images, draws[:, :2])
    assert torch.allclose(mapped(images, draws), alone, rtol=0, atol=1e-2)  # it is in float32


@pytest.mark.parametrize("key", ["rotation_degrees", "shear_degrees", "zoom"])
def test_what_is_off_takes_no_draws(key: str):
    needed = {"rotation_degrees": 1, "shear_degrees": 1, "zoom": 2}[key]
    assert Augment(**{key: KERAS[key]}).draws == needed
    assert Augment(**{**KERAS, key: 0.0}).draws == 6 - needed
    assert Augment(**{**KERAS, key: None}).draws == 6 - needed


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("fill", ["nearest", "constant"])
def test_a_map_depends_on_its_image_and_draws_alone(settings: dict[str, Any], fill: str):
    square = random(60, 3, 12, 12) * 255
    assert_changes_images_alike(Augment(**settings, fill=fill), square, 12)


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("draw", [0.0, LARGEST])
def test_the_extremes_of_the_draws_show_the_image_or_the_fill(
    images: Tensor, settings: dict[str, Any], draw: float
):
    augment = Augment(**settings, fill_value=-1.0)
    changed = augment(images, torch.full((60, augment.draws), draw))
    assert ((changed == -1) | ((changed >= 0) & (changed <= 255))).all()


@pytest.mark.gpu
@pytest.mark.parametrize("settings", SETTINGS)
def test_a_gpu_maps_alike(settings: dict[str, Any]):
    square = random(60, 3, 12, 12) * 255
    assert_a_gpu_agrees(Augment(**settings, fill="nearest"), square, 12, tolerance=1e-3)
