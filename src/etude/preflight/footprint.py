"""The memory that a run is predicted to need on a GPU, by the model of document 004."""

import torch

from etude.config import Config, settings, source_of
from etude.data.sides import Sides
from etude.data.sources.source import DatasetInfo
from etude.preflight.forward import Network
from etude.train.memory import count_outputs, count_parameters, predicted_bytes, state_copies, walk


def predicted(config: Config) -> int | None:
    """Predict the bytes of a run's training and of its resident data; None if nobody can.

    Args:
        config: A run that has passed every check.
    """
    copies = state_copies(settings(config.optimizer))
    if copies is None:
        return None
    facts: DatasetInfo = source_of(config).facts()
    dataset = config.dataset
    kept, size = Sides.of(facts.size, input_size=dataset.input_size, load_size=dataset.load_size)
    image = (facts.channels, size, size)
    with torch.device("meta"):
        model = Network.of(config, facts).build()
    try:
        layers = walk(model, image)
    except (RuntimeError, TypeError, ValueError):  # a network of the user's own
        return None
    batch_size = -(-config.train.batch_size // config.train.accumulate)
    data = (facts.train_images + facts.test_images) * facts.channels * kept**2
    outputs = count_outputs(layers, image)
    return data + predicted_bytes(count_parameters(model).trainable, outputs, batch_size, copies)
