"""VGG-16's frozen features: the documents' numbers, torchvision's values, and what is trained."""

import pytest
import torch
from torch import nn
from torchvision.models import vgg16

from etude.models.vgg16_transfer import VGG16Transfer

FEATURES = 14_714_688


def meta(**settings: object) -> VGG16Transfer:
    with torch.device("meta"):
        return VGG16Transfer(3, 2, input_size=224, **settings)


@pytest.mark.parametrize(
    ("settings", "trained"), [({"hidden": 256, "one_output": True}, 6_423_041), ({}, 50_178)]
)
def test_only_the_new_layers_are_trained_as_many_as_documented(settings, trained: int):
    model = meta(**settings)
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    assert sum(size for size, wanted in sizes if wanted) == trained
    assert sum(size for size, wanted in sizes if not wanted) == FEATURES
    images = torch.empty(2, 3, 224, 224, device="meta")
    assert model.features(images).shape == (2, 512, 7, 7)
    assert model(images).shape == (2, 2)


def test_the_features_are_torchvisions_with_their_weights():
    torch.manual_seed(0)
    theirs, ours = vgg16(), VGG16Transfer(3, 2, input_size=32)
    state = theirs.state_dict()
    for layer, name in ours.torchvision_layers.items():
        module = ours.get_submodule(layer)
        module.load_state_dict({"weight": state[f"{name}.weight"], "bias": state[f"{name}.bias"]})
    images = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(ours.features(images), theirs.features(images))
    assert len(ours.torchvision_layers) == 13


def test_one_output_is_binary_cross_entropy_of_its_sigmoid():
    torch.manual_seed(0)
    model = VGG16Transfer(3, 2, input_size=32, hidden=4, one_output=True).eval()
    images, labels = torch.rand(3, 3, 32, 32), torch.tensor([0, 1, 1])
    logits = model(images)
    assert (logits[:, 0] == 0).all()
    binary = nn.functional.binary_cross_entropy_with_logits(logits[:, 1], labels.float())
    assert nn.functional.cross_entropy(logits, labels).item() == pytest.approx(binary.item())


def test_what_the_weights_are_not_for_is_refused():
    with pytest.raises(ValueError, match="in_channels=1"):
        VGG16Transfer(1, 2, input_size=32)
    with pytest.raises(ValueError, match="num_classes=3 must be 2"):
        VGG16Transfer(3, 3, input_size=32, one_output=True)
