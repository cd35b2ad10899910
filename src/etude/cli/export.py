"""The command `etude-export`: a run's network as one file that needs no Étude."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from etude.base.errors import UserError
from etude.base.text import near
from etude.cli import entry
from etude.cli.parser import Words
from etude.cli.predict import files_of
from etude.cli.terminal import complain, console

_NEEDED = ("onnx", "onnxruntime", "onnxscript")  # the last by PyTorch's exporter
EXAMPLES = """\
examples:
  etude-export outputs/photos/seed=0-36ca5b90 --format onnx
  etude-export RUN --format torch --output cats.pt2 --check photos/test

onnx and torch take pixels (N, C, H, W) uint8 and give probabilities: normalisation is inside, the
classes' names stand in the file's metadata. safetensors are the weights alone, with both in their
header. Nothing is kept unless its answers are the run's own; a model card is written beside it.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 0, 1 if it cannot write, 2 if it was refused."""
    try:
        args = _parser().parse_args(arguments)
        _check_extra(args.format)
        checked_on = files_of(args.check)
        # PyTorch, and what exports by it, once the words are known to be right.
        file, told = import_module("etude.cli.exporting").export(
            args.run, args.format, args.output, checked_on, args.weights, args.packages
        )
    except UserError as error:
        complain(error)
        return 2
    except OSError as error:
        complain(f"{error}; --output names a file that can be written")
        return 1
    if args.json:
        console.out(json.dumps(told, indent=2, ensure_ascii=False), highlight=False)
    else:
        console.print(
            f"{near(file)}: {file.stat().st_size / 2**20:.1f} MiB; the same top-1 as the run's own "
            f"on {told['same_top_1']} of {told['images']} images, probabilities within "
            f"{told['largest_difference']:.2g}\ncard  {near(file.with_suffix('.md'))}",
            markup=False,
        )
    return 0


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
        "Write a run's network as one file, its preparation inside, and check it.",
        EXAMPLES,
    )
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="a run's folder")
    add("--format", choices=("onnx", "torch", "safetensors"), default="onnx", help="(onnx)")
    add("--output", type=Path, metavar="FILE", help="(model.<ending> in the run's folder)")
    add("--check", nargs="+", default=(), metavar="IMAGE", help="images it must answer alike, too")
    add("--weights", choices=("best", "last"), default="best", help="of which epoch (best)")
    add("--packages", nargs="+", default=(), metavar="NAME", help="your own, for its network")
    add("--json", action="store_true", help="print JSON")
    parser.add_completion()
    return parser


if __name__ == "__main__":
    sys.exit(entry.export())
