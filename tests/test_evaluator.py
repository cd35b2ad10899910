"""Evaluations as replays of a captured graph, with a stand-in for CUDA."""

import logging

import pytest
import torch
from stand_in import StandIn
from test_evaluate import CPU, Counted, split
from torch import Tensor, nn

from etude.train.evaluate import evaluate
from etude.train.evaluator import CapturedEvaluation
from etude.train.replay import WARM_UP_STEPS

HOW = {"device": CPU, "precision": "float32"}


class Plain(Counted):
    """It does not count."""

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.dropout(images.flatten(1)))


@pytest.mark.parametrize("size", [4, 7, 50, 64])
def test_a_captured_evaluation_is_an_evaluation(size: int):
    model, data, cuda = Plain(), split(), StandIn()
    evaluator = CapturedEvaluation(batch_size=size, cuda=cuda, **HOW)
    for epoch in range(5):
        captured = evaluator(model, data)
        assert captured == evaluate(model, data, batch_size=size, **HOW)
        with torch.no_grad():
            model.fc.weight += 0.1 * epoch  # which the graph follows
    batches = 5 * (50 // size), 5 * (50 % size > 0)
    assert cuda.replayed == sum(max(0, each - WARM_UP_STEPS) for each in batches)


def test_models_and_splits_have_graphs_of_their_own():
    one, two, data, other = Plain(), Plain(), split(), split(30)
    nn.init.zeros_(two.fc.weight)
    evaluator = CapturedEvaluation(batch_size=8, cuda=StandIn(), **HOW)
    for _ in range(4):
        for model in (one, two):
            for images in (data, other):
                expected = evaluate(model, images, batch_size=8, **HOW)
                assert evaluator(model, images) == expected


@pytest.mark.parametrize(
    ("cuda", "reason"),
    [
        (StandIn(("mine.py:12",)), "the host waits for the device at mine.py:12"),
        (StandIn(fails=True), "operation not permitted when stream is capturing"),
    ],
)
def test_what_cannot_be_captured_is_evaluated_eagerly(
    cuda: StandIn, reason: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, logger="etude")
    model, data = Plain(), split()
    evaluator = CapturedEvaluation(batch_size=8, cuda=cuda, **HOW)
    for _ in range(2):
        expected = evaluate(model, data, batch_size=8, **HOW)
        assert evaluator(model, data) == expected
    assert cuda.replayed == 0
    assert caplog.messages == [f"evaluations are done eagerly, which is slower: {reason}"]
