"""Averaged weights are means of the steps, are what is evaluated and kept, and cost nothing off."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import SMALL, only_run, summary_of
from safetensors.torch import load_file
from torch import nn

from etude.base.errors import UserError
from etude.train.weight_average import WeightAverage

Etude = Callable[..., int]


def walk(average: WeightAverage, model: nn.Module, steps: int) -> list[torch.Tensor]:
    """Give the network other weights so many times; the weights after each."""
    torch.manual_seed(0)
    seen = []
    for step in range(1, steps + 1):
        with torch.no_grad():
            for tensor in (model.weight, model.bias, model.running_mean):
                tensor.copy_(torch.randn(3))
        model.num_batches_tracked += 1
        average.update(step)
        seen.append(torch.stack([model.weight.detach(), model.bias.detach(), model.running_mean]))
    return seen


def values(average: WeightAverage) -> torch.Tensor:
    model = average.model
    return torch.stack([model.weight, model.bias, model.running_mean])


def test_a_decay_of_1_is_the_mean_of_all_steps():
    model = nn.BatchNorm1d(3)
    average = WeightAverage(model, decay=1.0)
    seen = walk(average, model, 7)
    torch.testing.assert_close(values(average), torch.stack(seen).mean(0))
    assert int(average.model.num_batches_tracked) == 7


def test_a_smaller_decay_forgets_from_its_memorys_length_on():
    model = nn.BatchNorm1d(3)
    average = WeightAverage(model, decay=0.75)
    seen = walk(average, model, 9)
    expected = torch.stack(seen[:4]).mean(0)  # 1 / (1 - 0.75) steps
    for weights in seen[4:]:
        expected = 0.75 * expected + 0.25 * weights
    torch.testing.assert_close(values(average), expected)


class Own(nn.Module):
    """A network of one's own: it puts other tensors into its place, and two layers share one."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
        self.two.weight = self.one.weight
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("passing", torch.zeros(()), persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen, self.passing = self.seen + 8, self.passing + 8
        return self.two(self.one(images))


def test_what_a_layer_replaces_is_followed_and_what_two_share_moves_once():
    model = Own()
    nn.init.zeros_(model.one.weight)
    average = WeightAverage(model, decay=0.75)
    for step in range(1, 6):
        model(torch.ones(1, 2))
        with torch.no_grad():
            model.one.weight += 8.0
        average.update(step)
    expected = 0.75 * (8 + 16 + 24 + 32) / 4 + 0.25 * 40
    assert float(average.model.seen) == expected
    assert average.model.one.weight.tolist() == [[expected] * 2] * 2
    assert float(average.model.passing) == 0


def test_the_averaged_network_is_its_own_and_is_not_trained():
    model = nn.Linear(2, 2)
    average = WeightAverage(model, decay=0.5)
    assert average.model.weight.data_ptr() != model.weight.data_ptr()
    assert not any(p.requires_grad for p in average.model.parameters())
    assert model.weight.requires_grad


@pytest.mark.parametrize("decay", [0.0, 1.5, -0.1])
def test_a_decay_out_of_range_is_refused(decay: float):
    with pytest.raises(UserError, match=r"train\.average_decay"):
        WeightAverage(nn.Linear(2, 2), decay=decay)


def test_what_a_run_keeps_and_scores_are_the_averaged_weights(etude: Etude, workplace: Path):
    words = [*SMALL, "train.epochs=1", "record.tensorboard=false"]
    assert etude(*words, "train.average_decay=1.0", "name=averaged") == 0
    folder = only_run(workplace)
    state = torch.load(folder / "last.ckpt", weights_only=True)["state"]
    kept = load_file(folder / "best.safetensors")
    for name, tensor in kept.items():
        assert torch.equal(tensor, state["average"][name])
    assert not torch.equal(kept["features.0.weight"], state["model"]["features.0.weight"])
    averaged = summary_of(folder)["final"]
    assert etude(*words, "name=plain") == 0
    (plain,) = (summary_of(path)["final"] for path in workplace.glob("outputs/plain/*"))
    assert averaged["train_loss"] == plain["train_loss"]
    assert averaged["test_loss"] != plain["test_loss"]


def test_off_nothing_is_kept(etude: Etude, workplace: Path):
    assert etude(*SMALL, "train.epochs=1", "record.tensorboard=false") == 0
    state = torch.load(only_run(workplace) / "last.ckpt", weights_only=True)["state"]
    assert state["average"] is None


def test_the_confusion_matrix_is_of_the_averaged_weights(workplace: Path, etude: Etude):
    """Its diagonal must be the accuracy that the summary tells of the best, averaged, weights."""
    assert etude(*SMALL, "train.average_decay=0.9", "optimizer.lr=0.05") == 0
    folder = only_run(workplace)
    told = json.loads((folder / "confusion.json").read_text(encoding="utf-8"))
    counts = torch.tensor(told["counts"])
    right = float(counts.diag().sum() / counts.sum())
    assert right == pytest.approx(summary_of(folder)["best"]["test_accuracy"])
