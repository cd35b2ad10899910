"""The command `etude-summary`: what a configuration's network is made of, and what it needs.

It trains nothing, writes nothing, and does without the data set's files where its published facts
say enough: the network is built and walked through on the meta device.
"""

# ruff: noqa: PLC0415 -- torch loads only once the words have been checked
from __future__ import annotations

import argparse
import json
import logging
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from etude.base.errors import UserError
from etude.cli.app import Parser, main_of_one_job
from etude.cli.terminal import console
from etude.config import Config, build, settings, source_of
from etude.train.memory import (
    MIB,
    Layer,
    count_outputs,
    count_parameters,
    predicted_bytes,
    state_copies,
    walk,
)

if TYPE_CHECKING:
    import torch
    from torch import nn

    from etude.cli.compose import Job
    from etude.data.prepare import Data
    from etude.data.sources.source import DatasetInfo

STEPS = 3  # the optimizer's state is there after the first
FILE_WIDTH = 120  # characters; names are folded in a narrow terminal only
EXAMPLES = """\
examples:
  etude-summary                                     the default network, layer by layer
  etude-summary model=alexnet_mnist dataset=mnist   another; no data set is needed
  etude-summary train.batch_size=512 optimizer=sgd  the memory that other settings need
  etude-summary experiment=vgg11_mnist --json       for scripts
  etude-summary experiment=vgg11_mnist --measure    the prediction beside a real peak

The memory is an estimate by the model of document 004, 4·(k·P + 2·B·O) bytes: P parameters, each
kept k times (itself, its gradient, the optimizer's state); O values of an image and of the outputs
of convolutions, pools and linear layers, for B images, forward and backward. It leaves out
workspaces, what ReLU, normalisation and dropout keep, the data set, and that bfloat16 is smaller.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, or 2 if it was refused."""
    return main_of_one_job(_parser(), _summarize, arguments)


def _parser() -> Parser:
    parser = Parser(
        prog="etude-summary",
        description="Show a network's layers, parameters, MACs and training memory, untrained.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "overrides", nargs="*", metavar="key=value", help="as for etude; see etude --help"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--measure",
        action="store_true",
        help=f"train {STEPS} steps on random images, and show the peak memory; needs CUDA",
    )
    parser.add_argument(
        "--config-dir", "-cd", metavar="FOLDER", help="your own files, before the shipped ones"
    )
    return parser


def _summarize(job: Job, args: argparse.Namespace) -> int:
    if args.json:
        logging.getLogger("etude").setLevel(logging.ERROR)  # nothing but JSON on standard output
    config = _without_files(job.config)
    _inspect(config, measure=args.measure)
    facts: DatasetInfo = source_of(config).facts()
    summary = _describe(config, facts)
    if args.measure:
        summary["memory"] |= _measure(config, facts)
    if args.json:
        console.out(json.dumps(summary, indent=2, ensure_ascii=False), highlight=False)
    else:
        _show(summary)
    return 0


def _without_files(config: Config) -> Config:
    """Need no weights, and take the published facts of a data set whose files are missing."""
    config = replace(config, init={})
    if not hasattr(config.dataset, "download"):
        return config
    return replace(config, dataset=replace(config.dataset, download=True))  # facts never do it


def _inspect(config: Config, *, measure: bool) -> None:
    """Refuse what `etude` would refuse, but not a device that only training would need."""
    from etude.preflight.checks import inspect

    device = config.device if measure else "auto"
    inspect([replace(config, device=device)], ())


def _describe(config: Config, facts: DatasetInfo) -> dict[str, Any]:
    """Give all that is shown, as JSON has it."""
    size = config.dataset.input_size or facts.size
    image = (facts.channels, size, size)
    model = _build(config, facts, size, "meta")
    layers = _walk(model, image)
    parameters = count_parameters(model)
    return {
        "model": type(model).__name__,
        "image": image,
        "num_classes": facts.num_classes,
        "layers": [layer._asdict() for layer in layers],
        "parameters": parameters._asdict(),
        "macs": sum(layer.macs for layer in layers),
        "memory": _memory(config, parameters.trainable, count_outputs(layers, image)),
    }


def _build(config: Config, facts: DatasetInfo, size: int, device: torch.device | str) -> nn.Module:
    import torch

    with torch.device(device):
        return build(
            config.model,
            config.packages,
            in_channels=facts.channels,
            num_classes=facts.num_classes,
            input_size=size,
        )


def _walk(model: nn.Module, image: tuple[int, int, int]) -> list[Layer]:
    try:
        return walk(model, image)
    except (RuntimeError, TypeError, ValueError) as error:  # a network of the user's own
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"{type(model).__name__} does not take images of {_times(image)}: {reason}"
        ) from error


def _memory(config: Config, parameters: int, outputs: int) -> dict[str, Any]:
    optimizer = settings(config.optimizer)
    copies = state_copies(optimizer)
    batch_size = -(-config.train.batch_size // config.train.accumulate)  # the part held at a time
    predicted = copies and predicted_bytes(parameters, outputs, batch_size, copies)
    return {
        "predicted_bytes": predicted,
        "copies": copies,
        "optimizer": optimizer["_target_"].rpartition(".")[2],
        "batch_size": batch_size,
        "outputs": outputs,
    }


# --- measuring -------------------------------------------------------------------------------
def _measure(config: Config, facts: DatasetInfo) -> dict[str, Any]:
    """Train as a run would, on random images; say what the device held at the most."""
    import torch

    from etude.train.hardware import choose_device, choose_precision, describe, make_deterministic

    device = choose_device(config.device)
    if device.type != "cuda":
        raise UserError(
            f"--measure needs CUDA, and device={config.device} is the CPU here; "
            "leave it out for the prediction alone"
        )
    precision = choose_precision(config.precision, device)
    make_deterministic(deterministic=config.train.deterministic)
    try:
        peak = _peak(config, facts, device, precision)
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"train.batch_size={config.train.batch_size} does not fit into the memory of "
            f"{describe(device)}; set a smaller one, or train.accumulate"
        ) from error
    return {"measured_bytes": peak, "precision": precision, "device": describe(device)}


def _peak(config: Config, facts: DatasetInfo, device: torch.device, precision: str) -> int:
    import torch

    from etude.train.builders import make_state
    from etude.train.hardware import peak_memory

    data = _random_data(config, facts)
    layout = torch.channels_last if config.train.channels_last else torch.contiguous_format
    model = _build(config, facts, data.size, device).to(memory_format=layout)  # no init: any values
    with warnings.catch_warnings(action="ignore"):  # of the schedule, which is not what is measured
        _, step = make_state(config, model, data, device, precision)
    batch_size = config.train.batch_size
    images = torch.rand(batch_size, data.channels, data.size, data.size, device=device)
    images = images.to(memory_format=layout)
    labels = torch.randint(facts.num_classes, (batch_size,), device=device)
    torch.cuda.reset_peak_memory_stats(device)
    for _ in range(STEPS):
        step(images, labels)
    return peak_memory(device)


def _random_data(config: Config, facts: DatasetInfo) -> Data:
    """Stand in for the data set: as many labels as it has, and one image."""
    import torch

    from etude.data.normalize import fit
    from etude.data.prepare import Data
    from etude.data.sources.source import Labelled

    size = config.dataset.input_size or facts.size
    image = torch.zeros(1, facts.channels, size, size, dtype=torch.uint8)
    part = Labelled(image, torch.zeros(facts.train_images, dtype=torch.int64))
    return Data(
        train=part,
        validation=None,
        test=part,
        classes=tuple(str(label) for label in range(facts.num_classes)),
        normalize=fit("none", image, None, None),
        channels=facts.channels,
        size=size,
        digest="",
    )


# --- showing ---------------------------------------------------------------------------------
def _show(summary: dict[str, Any]) -> None:
    console.print(_table(summary), width=None if console.is_terminal else FILE_WIDTH)
    trainable, total = (f"{summary['parameters'][key]:,}" for key in ("trainable", "total"))
    lines = [
        f"parameters  {trainable} trainable, {total} with running statistics",
        f"MACs        {summary['macs']:,} an image",
        f"memory      {_prediction(summary)}",
    ]
    if "measured_bytes" in summary["memory"]:
        lines.append(f"measured    {_measurement(summary['memory'])}")
    console.print("\n".join(lines), markup=False)


def _table(summary: dict[str, Any]) -> Table:
    title = f"{summary['model']}: images of {_times(summary['image'])}, {summary['num_classes']}"
    table = Table(
        title=f"{title} classes",
        title_justify="left",
        box=SIMPLE_HEAD,  # deep networks' names and numbers leave no room for lines
        collapse_padding=True,
        pad_edge=False,
    )
    for column in ("layer", "type"):
        table.add_column(column, overflow="fold")
    for column in ("output", "parameters", "MACs"):
        table.add_column(column, justify="right", no_wrap=True)
    for layer in (Layer(**row) for row in summary["layers"]):
        numbers = (f"{layer.parameters:,}", f"{layer.macs:,}")
        table.add_row(layer.name, layer.type, _times(layer.shape), *numbers)
    return table


def _prediction(summary: dict[str, Any]) -> str:
    memory = summary["memory"]
    if memory["copies"] is None:
        return f"not predicted: what {memory['optimizer']} keeps for a weight is not known"
    return (
        f"{_mib(memory['predicted_bytes'])} to train, as document 004 estimates: 4·(k·P + 2·B·O) "
        f"bytes, k = {memory['copies']} ({memory['optimizer']}), "
        f"P = {summary['parameters']['trainable']:,}, B = {memory['batch_size']:,}, "
        f"O = {memory['outputs']:,}"
    )


def _measurement(memory: dict[str, Any]) -> str:
    ratio = ""
    if memory["predicted_bytes"]:
        ratio = f", {memory['measured_bytes'] / memory['predicted_bytes']:.2f} × the prediction"
    return (
        f"{_mib(memory['measured_bytes'])} at the peak of {STEPS} steps in {memory['precision']} "
        f"on {memory['device']}{ratio}"
    )


def _mib(count: int) -> str:
    return f"{count / MIB:,.1f} MiB"


def _times(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


if __name__ == "__main__":
    sys.exit(main())
