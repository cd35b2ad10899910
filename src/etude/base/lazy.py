"""Libraries that take long to import, under their names: each loads when it is first used.

For code that is imported before it is known whether anything will be trained; annotations there
stay strings. (`importlib.util.LazyLoader` puts what is not loaded into `sys.modules`, and PyTorch
does not bear it.)
"""

from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import PIL.Image  # pyright: ignore[reportUnusedImport] (brings PIL)
    import safetensors.torch  # pyright: ignore[reportUnusedImport] (brings safetensors)
    import torch
    import torchvision
    import yaml
else:

    class _Lazy(ModuleType):
        """Stands for a package, which is imported whenever something of it is wanted."""

        def __getattr__(self, name: str) -> Any:
            return getattr(__import__(self.__name__), name)  # of PIL.Image: PIL

    np, torch, torchvision = _Lazy("numpy"), _Lazy("torch"), _Lazy("torchvision")
    yaml = _Lazy("yaml")
    PIL, safetensors = _Lazy("PIL.Image"), _Lazy("safetensors.torch")

__all__ = ["PIL", "np", "safetensors", "torch", "torchvision", "yaml"]
