"""Auxiliary heads are learned from, with their weight, and nothing else sees them."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from etude.models.auxiliary import Outputs, add_auxiliary_losses, main_logits
from etude.train.compiler import Compiler
from etude.train.step import Result, Step

CPU = torch.device("cpu")


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.main, self.first, self.second = (nn.Linear(4, 3) for _ in range(3))

    def forward(self, images: Tensor) -> Tensor | Outputs:
        hidden = images.flatten(1)
        if not self.training:
            return self.main(hidden)
        heads = {"first": self.first(hidden), "second": self.second(hidden)}
        return Outputs(self.main(hidden), heads, 0.3)


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(6, 1, 2, 2, generator=generator)
    return images, torch.randint(3, (6,), generator=generator)


def learn(model: nn.Module, *, precision: str = "float32", **settings: Any) -> Result:
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    step = Step(model, optimizer, scaler=scaler, device=CPU, precision=precision, **settings)
    return step(*batch(), whole=True)


def test_every_loss_has_its_weight():
    torch.manual_seed(0)
    labels = torch.randint(3, (5,))
    logits, one, two = torch.randn(3, 5, 3).unbind()
    losses = [functional.cross_entropy(x, labels, label_smoothing=0.1) for x in (logits, one, two)]
    output = Outputs(logits, {"one": one, "two": two}, 0.3)
    total = add_auxiliary_losses(losses[0], output, labels, label_smoothing=0.1)
    torch.testing.assert_close(total, losses[0] + 0.3 * losses[1] + 0.3 * losses[2])
    assert main_logits(output) is logits


def test_a_network_without_heads_keeps_its_loss_itself():
    logits, labels, loss = torch.randn(5, 3), torch.randint(3, (5,)), torch.tensor(1.0)
    assert add_auxiliary_losses(loss, logits, labels, label_smoothing=0.0) is loss
    assert main_logits(logits) is logits


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_step_updates_the_heads_and_reports_the_main_loss(accumulate: int):
    model, expected = TwoHeads(), TwoHeads()
    images, labels = batch()
    output = expected(images)
    losses = [
        functional.cross_entropy(logits, labels)
        for logits in (output.logits, *output.auxiliaries.values())
    ]
    (losses[0] + 0.3 * (losses[1] + losses[2])).backward()
    result = learn(model, accumulate=accumulate)
    assert float(result.loss) == pytest.approx(float(losses[0].detach()), rel=1e-6)
    assert int(result.correct) == int((output.logits.argmax(1) == labels).sum())
    for ours, theirs in zip(model.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs.detach() - theirs.grad)


@pytest.mark.slow
def test_a_compiled_network_with_heads_learns_as_an_eager_one():
    eager, compiled = TwoHeads(), TwoHeads()
    losses = [float(learn(eager).loss), float(learn(compiled, compiler=Compiler(on=True)).loss)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    for ours, theirs in zip(compiled.parameters(), eager.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
