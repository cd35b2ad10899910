import pytest
import torch

from benchmarks.network import compose
from benchmarks.resnet20 import ResNet20
from benchmarks.rows import ROWS
from benchmarks.statistics_of import differences, ratios


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_every_row_composes_with_a_turn_for_an_epoch(row):
    config = compose(row, device="cpu", precision="float32")
    assert config.dataset.limit_train == row.steps * row.batch_size
    assert config.train.batch_size == row.batch_size


def test_a_machine_that_slows_down_leaves_a_ratio_as_it_is():
    slowing = [1.0, 1.5, 2.0]
    assert ratios([2 * turn for turn in slowing], slowing) == (2.0, 2.0, 2.0)


def test_a_difference_is_given_with_its_quartiles():
    assert differences([3.0, 5.0, 9.0, 9.0, 9.0], [1.0] * 5) == (8.0, 4.0, 8.0)


def test_resnet20_has_the_parameters_of_its_paper():
    with torch.device("meta"):
        model = ResNet20(3, 10)
    # Table 6: 0.27 million; by hand, of convolutions, norms and the linear layer.
    assert sum(p.numel() for p in model.parameters()) == 269_722
