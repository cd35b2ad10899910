"""PyTorch Lightning: its Trainer over the same network and DataLoader, running without an end."""

import logging
import warnings
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.network import Network, compose, make_network
from benchmarks.pictures import loader
from benchmarks.referee import Referee, options
from etude.train.hardware import peak_memory, synchronize


class Module(lightning.LightningModule):
    """As Lightning's introduction has it; an epoch is a turn."""

    def __init__(self, network: Network, referee: Referee) -> None:
        super().__init__()
        self.model = network.model
        self.network = network
        self.referee = referee

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Give the optimizer."""
        return self.network.optimizer

    def training_step(self, batch: tuple[Tensor, Tensor], _index: int) -> Tensor:
        """Give the loss of a batch."""
        images, labels = batch
        images = images.to(memory_format=self.network.layout)
        loss = functional.cross_entropy(self.model(images), labels)
        self.log("train_loss", loss)
        return loss

    def on_train_epoch_start(self) -> None:
        """Wait for the driver."""
        self.referee.wait()

    def on_train_epoch_end(self) -> None:
        """Answer it."""
        self.referee.done()


def main() -> None:
    row, chosen = options(__doc__)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    config = compose(row, device=chosen.device, precision="float32")
    network = make_network(config)
    device = network.device
    referee = Referee(lambda: synchronize(device), lambda: peak_memory(device))
    quiet: dict[str, Any] = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    trainer = lightning.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu", devices=1, max_epochs=-1, **quiet
    )
    versions = {"lightning": lightning.__version__, "torch": torch.__version__}
    referee.ready(versions=versions)
    trainer.fit(Module(network, referee), loader(config, row, chosen.workers))


if __name__ == "__main__":
    main()
