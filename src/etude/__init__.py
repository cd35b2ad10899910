"""Étude: a research experiment framework for the classic convolutional networks.

From Python: `compose` words into a configuration, `run` one, `load` its network, turn image files
into its `inputs` or `predict` what they show, and list `runs`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from etude.cli.inference import inputs, predict
    from etude.cli.load import load
    from etude.cli.python import compose, run
    from etude.runs.frame import frame as runs

__version__ = "0.1.0"
__all__ = ["compose", "inputs", "load", "predict", "run", "runs"]

# Found when they are asked for: `import etude` alone imports neither Hydra nor PyTorch.
_WHERE = {
    "compose": "etude.cli.python",
    "run": "etude.cli.python",
    "load": "etude.cli.load",
    "inputs": "etude.cli.inference",
    "predict": "etude.cli.inference",
}


def __getattr__(name: str) -> Any:
    """Import what has not been asked for before."""
    if name == "runs":  # the room, which can be called
        return import_module("etude.runs")
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
