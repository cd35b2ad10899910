"""A split is run through a network in one place, for everybody who reads the answers."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from etude.data.batch import Batch
from etude.data.normalize import fit
from etude.data.resident import Resident
from etude.models.lenet5_1998 import LeNet5Of1998
from etude.train.evaluate import Scorer, ask, evaluate
from etude.train.record.answers import Collector, penultimate
from etude.train.record.confusion import ConfusionCounter

CPU = torch.device("cpu")


class Counted(nn.Module):
    """A linear layer behind dropout, which counts the images that it is asked about."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.dropout, self.fc = nn.Dropout(0.9), nn.Linear(64, 10)
        self.asked = 0

    def forward(self, images: Tensor) -> Tensor:
        self.asked += len(images)
        return self.fc(self.dropout(images.flatten(1)))


def split(images: int = 50, side: int = 8) -> Resident:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(256, (images, 1, side, side), dtype=torch.uint8, generator=generator)
    labels = torch.randint(10, (images,), generator=generator)
    return Resident(
        pixels, labels, normalize=fit("unit", pixels), augment=None, device=CPU,
        channels_last=False, size=side,
    )  # fmt: skip


def whole(data: Resident) -> Batch:
    (batch,) = data.in_order(len(data))
    return batch


def test_all_readers_of_one_pass_are_given_every_image_once():
    model, data = Counted(), split()
    scorer, confusion, collector = Scorer(model, CPU), ConfusionCounter(10, CPU), Collector(5)
    readers = (scorer, confusion, collector)
    ask(model, data, *readers, device=CPU, precision="float32", batch_size=16)
    assert model.asked == 50
    images, labels = whole(data)
    with torch.inference_mode():
        logits = model.eval()(images)
    wrong = logits.argmax(1) != labels
    loss, accuracy = scorer.score(len(data))
    assert loss == pytest.approx(float(functional.cross_entropy(logits, labels)))
    assert accuracy == float((~wrong).double().mean())
    assert int(confusion.counts().diag().sum()) == round(50 * accuracy)
    assert confusion.counts().sum(1).tolist() == labels.bincount(minlength=10).tolist()
    answers = collector.answers()
    torch.testing.assert_close(answers.probabilities, logits.softmax(1))
    assert torch.equal(answers.labels, labels)
    assert torch.equal(answers.wrong, images[wrong][:5])
    assert torch.equal(answers.taken, logits.argmax(1)[wrong][:5])
    assert torch.equal(answers.classes, labels[wrong][:5])


def test_a_networks_own_loss_is_what_it_is_scored_by():
    model, data = LeNet5Of1998(1, 10, input_size=32), split(side=32)
    images, labels = whole(data)
    with torch.inference_mode():
        own = float(model.loss(model(images), labels).mean())
    found = evaluate(model, data, device=CPU, precision="float32", batch_size=16)
    assert found.loss == pytest.approx(own)


def test_what_the_last_layer_is_fed_with_costs_no_more_than_the_images_asked_for():
    model, data = Counted(), split()
    features, labels, images = penultimate(model, data, CPU, precision="float32", limit=20)
    assert model.asked == 20
    assert torch.equal(features, images.flatten(1))
    assert torch.equal(labels, whole(data).labels[:20])
