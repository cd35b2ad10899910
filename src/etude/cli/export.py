"""The command `etude-export`: a network as one file, or finished runs to a team's tracker."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from etude.base.errors import UserError
from etude.base.text import counted, near
from etude.cli import entry
from etude.cli.output import show_json
from etude.cli.parser import Words
from etude.cli.predict import files_of
from etude.cli.terminal import complain, console
from etude.config.build import import_from
from etude.report.trackers import TRACKERS

_NEEDED = ("onnx", "onnxruntime", "onnxscript")  # the last by PyTorch's exporter
EXAMPLES = """\
examples:
  etude-export outputs/photos/seed=0-36ca5b90 --format onnx
  etude-export RUN --format torch --output cats.pt2 --check photos/test
  etude-export outputs/photos --to mlflow           its finished runs, each once
  etude-export outputs --to wandb --project photos --store wandb

onnx and torch take pixels (N, C, H, W) uint8 and give probabilities: normalisation is inside, the
classes' names stand in the file's metadata. safetensors are the weights alone, with both in their
header. Nothing is kept unless its answers are the run's own; a model card is written beside it.

--to sends settings, metrics by epoch and pictures, grouped by arm. It writes to a folder here and
connects nowhere, unless --store is the address of an MLflow server.
"""
# What goes with a file, and what with --to.
_OF_A_FILE = ("format", "output", "check", "weights", "packages")
_OF_A_TRACKER = ("store", "project")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, 1 if it cannot write, 2 if it was refused."""
    try:
        args = _parser().parse_args(arguments)
        import_from(Path.cwd())
        _check_options(args)
        if args.to:
            return import_module("etude.cli.sending").send_runs(args)
        _write(args)
    except UserError as error:
        complain(error)
        return 2
    except OSError as error:
        complain(f"{error}; --output names a file that can be written")
        return 1
    return 0


def _check_options(args: argparse.Namespace) -> None:
    """Refuse what the other of the two uses would need."""
    others = _OF_A_FILE if args.to else _OF_A_TRACKER
    if given := [name for name in others if getattr(args, name)]:
        way_out = "leave one of them out" if args.to else "add --to"
        use = "a network's file, --to for a tracker" if args.to else "a tracker"
        raise UserError(f"--{given[0]} is for {use}; {way_out}")
    if not args.to and len(args.runs) > 1:
        raise UserError(
            f"{counted(len(args.runs), 'run')} make no one file; give one, or --to a tracker"
        )


def _write(args: argparse.Namespace) -> None:
    """Write a run's network as a file, and tell of it."""
    (run,) = args.runs
    form, weights = args.format or "onnx", args.weights or "best"
    _check_extra(form)
    checked_on = files_of(args.check)
    # PyTorch, and what exports by it, once the words are known to be right.
    export = import_module("etude.cli.exporting").export
    file, told = export(run, form, args.output, checked_on, weights, args.packages)
    if args.json:
        show_json(told)
        return
    console.print(
        f"{near(file)}: {file.stat().st_size / 2**20:.1f} MiB; the same top-1 as the run's own "
        f"on {told['same_top_1']} of {counted(told['images'], 'image')}, probabilities within "
        f"{told['largest_difference']:.2g}\ncard  {near(Path(told['card']))}",
        markup=False,
    )


def _check_extra(form: str) -> None:
    """Refuse a form that what is installed cannot write, before anything slow.

    Raises:
        UserError: A package is missing.
    """
    lacking = [name for name in _NEEDED if form == "onnx" and find_spec(name) is None]
    if lacking:
        raise UserError(
            f"--format onnx needs {', '.join(lacking)}; pip install 'etude[onnx]' brings it, and "
            "--format torch and --format safetensors need nothing"
        )


def _parser() -> Words:
    parser = Words.of(
        "etude-export",
        "Write a run's network as one checked file, or send finished runs to a tracker.",
        EXAMPLES,
    )
    add = parser.add_argument
    add("runs", nargs="+", type=Path, metavar="RUN", help="a run's folder; for --to, of runs too")
    add("--format", choices=("onnx", "torch", "safetensors"), help="(onnx)")
    add("--output", type=Path, metavar="FILE", help="(model.<ending> in the run's folder)")
    add("--check", nargs="+", default=(), metavar="IMAGE", help="images it must answer alike, too")
    add("--weights", choices=("best", "last"), help="of which epoch (best)")
    add("--packages", nargs="+", default=(), metavar="NAME", help="your own, for its network")
    add("--to", choices=TRACKERS, help="send finished runs there")
    add("--store", metavar="PLACE", help="a folder, or a server's address (<outputs>/<tracker>)")
    add("--project", metavar="NAME", help="for all of them (the experiment's or the study's)")
    add("--json", action="store_true", help="print JSON")
    parser.add_completion()
    return parser


if __name__ == "__main__":
    sys.exit(entry.export())
