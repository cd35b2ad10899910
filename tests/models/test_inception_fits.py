"""Every network of the Inception family fits one batch of 32 small images."""

from typing import Any

import pytest
import torch
from torch import nn

from etude.models.bn_inception import BNInception
from etude.models.googlenet import GoogLeNet
from etude.models.inception_resnet import InceptionResNet
from etude.models.inception_v3 import InceptionV3
from etude.models.inception_v4 import InceptionV4
from etude.train.init import HeNormal
from etude.train.step import Step

CPU = torch.device("cpu")
NETWORKS: dict[str, tuple[Any, dict[str, Any]]] = {
    "googlenet": (GoogLeNet, {"auxiliary_dropout": 0.0}),
    "bn_inception": (BNInception, {}),
    "inception_v3": (InceptionV3, {}),
    "inception_v4": (InceptionV4, {}),
    "inception_resnet_v1": (InceptionResNet, {"variant": "v1"}),
    "inception_resnet_v2": (InceptionResNet, {"variant": "v2"}),
    "inception_resnet_v2_released": (InceptionResNet, {"variant": "v2_released"}),
}


def best_accuracy(model: nn.Module) -> float:
    """Train until the batch is known, 60 steps at the most; its best training accuracy."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(32, 3, 12, 12, generator=generator)
    labels = torch.randint(4, (32,), generator=generator)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    step = Step(model, optimizer, scaler=scaler, device=CPU, precision="float32")
    model.train()
    best = 0.0
    for _ in range(60):
        best = max(best, int(step(images, labels).correct) / len(labels))
        if best >= 0.95:
            break
    return best


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_fits_one_batch_of_32_small_images(name: str):
    network, settings = NETWORKS[name]
    small = {"input_size": 12, "stem": "small", "width": 0.125, "dropout": 0.0}
    model = network(3, 4, **small, **settings)
    HeNormal(variance_corrected=True)(model, seed=0)
    assert best_accuracy(model) >= 0.95
