"""The Inception family against published numbers, and v3 against torchvision's outputs."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision import models

from etude.models.bn_inception import BNInception
from etude.models.branches import AVERAGE_POOL, Maker
from etude.models.inception_resnet import TABLES, InceptionResNet, Residual
from etude.models.inception_v3 import FACTORIZATIONS, InceptionV3, large
from etude.models.inception_v4 import InceptionV4
from etude.train.weights import WeightsSource, load


def meta(network: Any, **settings: Any) -> nn.Module:
    with torch.device("meta"):  # shapes only: no memory, no time
        return network(3, 1000, **settings)


def counts(model: nn.Module) -> tuple[int, int]:
    """Trainable parameters, and Keras's total: running statistics included, batch counters not."""
    trainable = sum(p.numel() for p in model.parameters())
    return trainable, trainable + sum(b.numel() for b in model.buffers() if b.ndim)


def stages(model: nn.Module, size: int, *parts: str) -> dict[str, tuple[tuple[int, ...], int]]:
    """The output shape and the parameters of every stage, by name."""
    found = {}
    images = torch.empty(2, 3, size, size, device="meta")
    for part in parts:
        for name, stage in model.get_submodule(part).named_children():
            images = stage(images)
            found[name] = (tuple(images.shape[1:]), counts(stage)[0])
    return found


def repeated(letter: str, count: int, shape: tuple[int, ...], parameters: int) -> dict[str, Any]:
    return {f"{letter}{index}": (shape, parameters) for index in range(1, count + 1)}


def test_bn_inception_has_the_numbers_of_its_figure():
    model = meta(BNInception, input_size=224)
    assert counts(model) == (11_194_984, 11_214_888)
    shapes = {name: shape for name, (shape, _) in stages(model, 224, "features").items()}
    assert shapes == {
        "stem": (192, 28, 28), "3a": (256, 28, 28), "3b": (320, 28, 28), "3c": (576, 14, 14),
        "4a": (576, 14, 14), "4b": (576, 14, 14), "4c": (576, 14, 14), "4d": (576, 14, 14),
        "4e": (1024, 7, 7), "5a": (1024, 7, 7), "5b": (1024, 7, 7),
    }  # fmt: skip
    assert counts(meta(BNInception, input_size=224, lrn=True, dropout=0.4))[0] == 11_194_984


def test_bn_inceptions_last_module_pools_by_the_maximum():
    model = meta(BNInception, input_size=224)
    pools = {
        name: type(stage[0][-1][0]).__name__
        for name, stage in model.features.named_children()
        if name != "stem"
    }
    assert {name for name, pool in pools.items() if pool == "MaxPool2d"} == {"3c", "4e", "5b"}


def test_inception_v3_has_the_published_numbers():
    assert counts(meta(InceptionV3, input_size=299, auxiliary_weight=0)) == (
        23_834_568,
        23_869_000,
    )
    model = meta(InceptionV3, input_size=299)
    assert counts(model) == (27_161_264, 27_197_488)
    assert counts(model.auxiliary)[0] == 3_326_696
    assert stages(model, 299, "early", "late") == {
        "stem": ((192, 35, 35), 172_672),
        "mixed_5b": ((256, 35, 35), 255_904),
        "mixed_5c": ((288, 35, 35), 277_472),
        "mixed_5d": ((288, 35, 35), 285_152),
        "mixed_6a": ((768, 17, 17), 1_153_280),
        "mixed_6b": ((768, 17, 17), 1_297_408),
        "mixed_6c": ((768, 17, 17), 1_691_008),
        "mixed_6d": ((768, 17, 17), 1_691_008),
        "mixed_6e": ((768, 17, 17), 2_141_952),
        "mixed_7a": ((1280, 8, 8), 1_698_304),
        "mixed_7b": ((2048, 8, 8), 5_044_608),
        "mixed_7c": ((2048, 8, 8), 6_076_800),
    }


@pytest.mark.parametrize(
    ("stem", "size", "grids"),
    [
        ("seven", 299, [35, 17, 8]),
        ("stride_1", 151, [35, 17, 8]),
        ("stride_1_no_pool", 79, [36, 17, 8]),
    ],
)
def test_the_other_stems_lead_to_the_grids_of_the_paper(stem: str, size: int, grids: list[int]):
    model = meta(InceptionV3, input_size=size, stem=stem)
    found = stages(model, size, "early", "late")
    assert [found[name][0][-1] for name in ("stem", "mixed_6a", "mixed_7a")] == grids
    assert model(torch.empty(2, 3, size, size, device="meta")).logits.shape == (2, 1000)


def test_inception_v4_has_the_published_numbers():
    model = meta(InceptionV4, input_size=299)
    assert counts(model) == (42_679_816, 42_742_984)
    found = stages(model, 299, "features")
    del found["stem"]
    assert found == {
        **repeated("a", 4, (384, 35, 35), 317_632),
        "reduction_a": ((1024, 17, 17), 2_306_112),
        **repeated("b", 7, (1024, 17, 17), 2_936_256),
        "reduction_b": ((1536, 8, 8), 2_747_392),
        **repeated("c", 3, (1536, 8, 8), 4_553_088),
    }
    grids = []
    images = torch.empty(1, 3, 299, 299, device="meta")
    for layer in model.features.stem:
        images = layer(images)
        grids.append(tuple(images.shape[1:]))
    assert grids == [
        (32, 149, 149), (32, 147, 147), (64, 147, 147), (160, 73, 73), (192, 71, 71),
        (384, 35, 35),
    ]  # fmt: skip


RESNETS = {
    "v1": (
        (22_756_328, 22_783_368),
        {
            **repeated("a", 5, (256, 35, 35), 77_440),
            "reduction_a": ((896, 17, 17), 1_710_080),
            **repeated("b", 10, (896, 17, 17), 690_048),
            "reduction_b": ((1792, 8, 8), 3_346_176),
            **repeated("c", 5, (1792, 8, 8), 1_600_768),
        },
    ),
    "v2": (
        (32_433_928, 32_466_792),
        {
            **repeated("a", 5, (384, 35, 35), 137_568),
            "reduction_a": ((1152, 17, 17), 2_902_528),
            **repeated("b", 10, (1152, 17, 17), 1_171_904),
            "reduction_b": ((2144, 8, 8), 3_930_112),
            **repeated("c", 5, (2144, 8, 8), 2_088_736),
        },
    ),
    "v2_released": (
        (55_843_464, 55_904_008),
        {
            **repeated("a", 10, (320, 35, 35), 123_168),
            "reduction_a": ((1088, 17, 17), 2_664_960),
            **repeated("b", 20, (1088, 17, 17), 1_126_784),
            "reduction_b": ((2080, 8, 8), 3_880_960),
            **repeated("c", 10, (2080, 8, 8), 2_035_424),
            "end": ((1536, 8, 8), 3_197_952),
        },
    ),
}


@pytest.mark.parametrize(("variant", "numbers"), RESNETS.items())
def test_inception_resnet_has_the_published_numbers(variant: str, numbers: Any):
    totals, modules = numbers
    model = meta(InceptionResNet, variant=variant, input_size=299)
    assert counts(model) == totals
    found = stages(model, 299, "features")
    del found["stem"]
    assert found == modules


@pytest.mark.parametrize(
    ("network", "settings", "smallest"),
    [
        (BNInception, {"stem": "small"}, 1),
        (InceptionV3, {"auxiliary_weight": 0}, 75),
        (InceptionV3, {}, 107),
        (InceptionV3, {"stem": "small", "auxiliary_weight": 0}, 7),
        (InceptionV3, {"stem": "small"}, 11),
        (InceptionV4, {}, 75),
        (InceptionV4, {"stem": "small"}, 7),
        (InceptionResNet, {"variant": "v1"}, 75),
        (InceptionResNet, {"variant": "v2", "stem": "small"}, 7),
        (InceptionResNet, {"variant": "v2_released"}, 75),
    ],
)
def test_an_inception_says_from_which_size_on_it_works(
    network: Any, settings: dict[str, Any], smallest: int
):
    images = torch.empty(2, 3, smallest, smallest, device="meta")
    if smallest > 1:
        with pytest.raises(ValueError, match=f"at least {smallest}$"):
            meta(network, **settings, input_size=smallest - 1)
    assert meta(network, **settings, input_size=smallest).eval()(images).shape == (2, 1000)


@pytest.mark.parametrize("training", [False, True])
def test_inception_v3_gives_what_torchvisions_gives_with_the_same_weights(training: bool):
    torch.manual_seed(0)
    theirs = models.inception_v3(init_weights=False, dropout=0.0)
    ours = InceptionV3(3, 1000, input_size=299, dropout=0.0)
    values = theirs.state_dict().values()  # in the same order: only the names differ
    ours.load_state_dict(dict(zip(ours.state_dict(), values, strict=True)))
    images = torch.randn(2, 3, 299, 299)
    with torch.inference_mode():
        expected, found = theirs.train(training)(images), ours.train(training)(images)
    if training:
        assert torch.equal(found.logits, expected.logits)
        assert torch.equal(found.auxiliaries["auxiliary"], expected.aux_logits)
        assert found.weight == 0.4
    else:
        assert torch.equal(found, expected)


def test_every_layer_of_inception_v3_has_its_counterpart_in_torchvision():
    ours = meta(InceptionV3, input_size=299)
    with torch.device("meta"):
        theirs = models.inception_v3(init_weights=False)
    named = {
        name.rpartition(".")[0]: tensor.shape
        for name, tensor in ours.state_dict().items()
        if name.endswith("weight")
    }
    assert set(named) == set(ours.torchvision_layers)
    for layer, name in ours.torchvision_layers.items():
        assert theirs.get_submodule(name).weight.shape == named[layer]
    assert len(set(ours.torchvision_layers.values())) == len(named)


@pytest.mark.slow
def test_torchvisions_file_is_a_beginning_for_inception_v3(tmp_path: Path):
    torch.manual_seed(0)
    theirs = models.inception_v3(init_weights=False).eval()
    torch.save(theirs.state_dict(), tmp_path / "inception.pth")
    ours = InceptionV3(3, 1000, input_size=299).eval()
    wanted = WeightsSource("imagenet", str(tmp_path / "inception.pth"), None, download=False)
    report = load(ours, wanted)
    assert report is not None
    assert report.fresh == []
    images = torch.randn(1, 3, 299, 299)
    with torch.inference_mode():
        assert torch.equal(ours(images), theirs(images))


def test_average_pools_count_the_zeros_around_only_if_asked():
    images = torch.ones(1, 1, 4, 4)
    assert float(AVERAGE_POOL()(images).min()) == 1.0
    counted = meta(InceptionV3, input_size=299)
    ignored = meta(InceptionV3, input_size=299, count_padding=False)
    for model, counts_them in ((counted, True), (ignored, False)):
        pools = [m for m in model.modules() if isinstance(m, nn.AvgPool2d) and m.kernel_size == 3]
        assert [pool.count_include_pad for pool in pools] == [counts_them] * 9


def test_a_large_kernel_costs_what_section_3_says_of_its_factorisations():
    def weights(side: int, form: str) -> int:
        make = Maker(norm=nn.BatchNorm2d, width=1.0)
        with torch.device("meta"):
            layers, channels = make.sequence(large(side, 10, 10, form), 10)
            assert layers(torch.empty(1, 10, 9, 9)).shape == (1, channels, 9, 9)
        return sum(m.weight.numel() for m in layers.modules() if isinstance(m, nn.Conv2d))

    assert weights(7, "square") == 49 * 100
    assert weights(7, "stacked") == 27 * 100
    assert weights(7, "asymmetric") == 14 * 100
    assert weights(5, "square") == 25 * 100
    assert weights(5, "stacked") == (9 + 9) * 100


@pytest.mark.parametrize("form", FACTORIZATIONS)
def test_every_factorisation_sees_as_far(form: str):
    """The grids of all forms are one; square kernels need most parameters."""
    model = meta(InceptionV3, input_size=299, factorization=form, auxiliary_weight=0)
    assert stages(model, 299, "early", "late")["mixed_7c"][0] == (2048, 8, 8)
    square = meta(InceptionV3, input_size=299, factorization="square", auxiliary_weight=0)
    assert counts(model)[0] <= counts(square)[0]


def residual(scale: float, *, activate: bool = True) -> tuple[Residual, Tensor]:
    torch.manual_seed(0)
    make = Maker(norm=nn.BatchNorm2d, width=0.25)
    block = Residual(make, TABLES["v1"].a.branches, 8, scale=scale, activate=activate)
    return block.eval(), torch.randn(2, 8, 5, 5)


def test_a_residual_is_scaled_before_it_is_added_and_has_a_bias_but_no_batch_norm():
    block, images = residual(0.17)
    inner = torch.cat([branch(images) for branch in block.branches[0]], 1)
    expected = torch.relu(images + 0.17 * block.linear(inner))
    torch.testing.assert_close(block(images), expected)
    assert block.linear.bias is not None
    linear, images = residual(1.0, activate=False)
    assert float(linear(images).detach().min()) < 0


def test_the_scales_are_those_of_the_three_runs_and_the_released_last_block_has_none():
    model = meta(InceptionResNet, variant="v2_released", input_size=299)
    scales = [m.scale for m in model.modules() if isinstance(m, Residual)]
    assert scales == [0.17] * 10 + [0.1] * 20 + [0.2] * 9 + [1.0]
    activations = [type(m.activation) for m in model.modules() if isinstance(m, Residual)]
    assert activations == [nn.ReLU] * 39 + [nn.Identity]
    other = meta(InceptionResNet, variant="v1", input_size=299, residual_scales=[1.0, 0.5, 0.3])
    scales = [m.scale for m in other.modules() if isinstance(m, Residual)]
    assert scales == [1.0] * 5 + [0.5] * 10 + [0.3] * 5
    with pytest.raises(ValueError, match="2 numbers"):
        meta(InceptionResNet, variant="v1", input_size=299, residual_scales=[1.0, 0.5])


def test_width_multiplies_the_channels():
    model = meta(InceptionV3, input_size=75, width=0.125, auxiliary_weight=0)
    assert stages(model, 75, "early", "late")["mixed_5d"][0][0] == 8 + 8 + 12 + 8
    assert model.classifier.fc.in_features == 256
