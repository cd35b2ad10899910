"""Optimizers without PyTorch's compiler, which making one of them would load for over a second."""

import sys
from typing import Any, cast

from torch.optim import Optimizer

# Marked as not to be compiled, which PyTorch's compiler is loaded for when they are first called.
_MARKED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")


def spare_compiler() -> None:
    """Let these methods be called as they are, unless the compiler is there already.

    Nothing that Étude compiles calls one of them. Another version of PyTorch may keep the mark
    elsewhere; then it loads its compiler as before.
    """
    if "torch._dynamo" in sys.modules:
        return
    for name in _MARKED:
        method = cast("Any", getattr(getattr(Optimizer, name), "__wrapped__", None))
        if method is not None:
            method.__dynamo_disable = method
