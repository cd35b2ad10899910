"""The command `etude-summary`: what a configuration's network is made of, and what it needs.

It trains nothing, writes nothing, and does without the data set's files where its published facts
say enough.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.table import Table

from etude.base.gpu_memory import MIB, room_for
from etude.base.text import counted
from etude.cli import entry
from etude.cli.app import main_of_one_job
from etude.cli.output import show_json
from etude.cli.parser import Parser
from etude.cli.terminal import console, times
from etude.config import Config, source_of
from etude.preflight.checks import inspect

if TYPE_CHECKING:
    from etude.cli.job import ComposedJob
    from etude.cli.network import Measured, Memory, ShownNetwork
    from etude.preflight.rehearsal import Rehearsal
    from etude.train.batch_parts import BatchParts

STEPS = 3  # that are measured
FILE_WIDTH = 120  # characters; names are folded in a narrow terminal only
EXAMPLES = """\
examples:
  etude-summary                                     the default network, layer by layer
  etude-summary model=alexnet_mnist dataset=mnist   another; its files need not be there
  etude-summary train.batch_size=512 optimizer=sgd  the memory that other settings need
  etude-summary experiment=vgg11_mnist --json       for scripts
  etude-summary experiment=vgg11_mnist --measure    the prediction beside a real peak

The memory is an estimate by the model of document 004, 4·(k·P + 2·B·O) bytes: P parameters, each
kept k times (itself, its gradient, the optimizer's state); O values of an image and of the outputs
of convolutions, pools and linear layers, for B images, forward and backward. It leaves out
workspaces, what ReLU, normalisation and dropout keep, the data set, and that bfloat16 is smaller.

The lines below it are of a run on a GPU whose steps are done without being computed: every tensor
that PyTorch makes is counted, as large as CUDA's allocator makes it. They leave out workspaces and
CUDA's own context.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, or 2 if it was refused."""
    return main_of_one_job(_parser(), _summarize, arguments)


def _parser() -> Parser:
    parser = Parser.of(
        "etude-summary",
        "Show a network's layers, parameters, MACs and training memory, untrained.",
        EXAMPLES,
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


def _summarize(job: ComposedJob, args: argparse.Namespace) -> int:
    if args.json:
        logging.getLogger("etude").setLevel(logging.ERROR)  # nothing but JSON on standard output
    config = without_files(job.config)
    # A device that only training would need is no reason to refuse.
    inspect([replace(config, device=config.device if args.measure else "auto")], ())
    from etude.cli.network import summarize  # noqa: PLC0415 (imports torch)

    network = summarize(config, source_of(config).facts(), steps=STEPS if args.measure else 0)
    if args.json:
        show_json(network.plain())
    else:
        _show(network)
    return 0


def without_files(config: Config) -> Config:
    """Need no weights, and take the published facts of a data set whose files are missing."""
    config = replace(config, init={})
    if not hasattr(config.dataset, "download"):
        return config
    return replace(config, dataset=replace(config.dataset, download=True))  # facts never do it


def _show(network: ShownNetwork) -> None:
    trainable, total = network.parameters
    console.print(_table(network), width=None if console.is_terminal else FILE_WIDTH)
    lines = [
        f"parameters  {trainable:,} trainable, {total:,} with running statistics",
        f"MACs        {network.macs:,} an image",
        f"memory      {_prediction(network)}",
        *(f"on a GPU    {_rehearsal(rehearsal)}" for rehearsal in network.rehearsals),
    ]
    if network.accumulate is not None:
        lines.append(f"accumulate  {_parts(network.accumulate, network.rehearsals)}")
    if network.measured is not None:
        lines.append(f"measured    {_measurement(network.memory, network.measured)}")
    console.print("\n".join(lines), markup=False)


def _table(network: ShownNetwork) -> Table:
    classes = counted(network.num_classes, "class")
    table = Table(
        title=f"{network.model}: images of {times(network.image)}, {classes}",
        title_justify="left",
        box=SIMPLE_HEAD,  # deep networks' names and numbers leave no room for lines
        collapse_padding=True,
        pad_edge=False,
    )
    for column in ("layer", "type"):
        table.add_column(column, overflow="fold")
    for column in ("output", "parameters", "MACs"):
        table.add_column(column, justify="right", no_wrap=True)
    for layer in network.layers:
        numbers = (f"{layer.parameters:,}", f"{layer.macs:,}")
        table.add_row(layer.name, layer.type, times(layer.shape), *numbers)
    return table


def _prediction(network: ShownNetwork) -> str:
    memory = network.memory
    if memory.predicted_bytes is None:
        return f"not predicted: what {memory.optimizer} keeps for a weight is not known"
    return (
        f"{_mib(memory.predicted_bytes)} to train, as document 004 estimates: 4·(k·P + 2·B·O) "
        f"bytes, k = {memory.copies} ({memory.optimizer}), "
        f"P = {network.parameters.trainable:,}, B = {memory.batch_size:,}, "
        f"O = {memory.outputs:,}"
    )


def _rehearsal(rehearsal: Rehearsal) -> str:
    operations = sum(rehearsal.operations.values())
    beside = rehearsal.beside_bytes  # a captured step keeps its memory
    more = f", {_mib(beside)} for what is computed beside it" if beside else ""
    return (
        f"{_mib(rehearsal.peak_bytes)} at the most in {rehearsal.precision}: "
        f"{_mib(rehearsal.data_bytes)} images, {_mib(rehearsal.kept_bytes)} kept from step to step "
        f"(weights, the best ones, optimizer), {_mib(rehearsal.step_bytes)} a step of "
        f"{counted(rehearsal.batch_size, 'image')}{more}; {counted(operations, 'operation')} a step"
    )


def _parts(chosen: BatchParts, rehearsals: Sequence[Rehearsal]) -> str:
    if chosen.free_bytes is None:
        needed = max((rehearsal.peak_bytes for rehearsal in rehearsals), default=None)
        more = "" if needed is None else f", and on a GPU with {_mib(room_for(needed))} free"
        return f"auto is 1 on a CPU{more}"
    needed = chosen.predicted_bytes
    why = "nobody knows what is" if needed is None else f"{_mib(room_for(needed))} are"
    return f"auto is {chosen.parts} here now: {why} needed, {_mib(chosen.free_bytes)} free"


def _measurement(memory: Memory, measured: Measured) -> str:
    ratio = ""
    if memory.predicted_bytes:
        ratio = f", {measured.measured_bytes / memory.predicted_bytes:.2f} × the prediction"
    return (
        f"{_mib(measured.measured_bytes)} at the peak of {STEPS} steps in {measured.precision} "
        f"on {measured.device}{ratio}"
    )


def _mib(count: int) -> str:
    return f"{count / MIB:,.1f} MiB"


if __name__ == "__main__":
    sys.exit(entry.summary())
