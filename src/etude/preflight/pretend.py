"""A GPU that computes nothing, on a machine without one: what would it wait for, refuse and hold?

PyTorch lets a device be made up, and its fake tensors have shapes and places but no values. A step
that is done with them finds a tensor that was left on the CPU ("expected all tensors to be on the
same device"), a value that the host asks for (`DataDependentOutputException`), and a copy between
host and device (`Waits`); its operations are what the host must launch, and the storages that are
alive at the same time are what the device must hold.
"""

# What makes up a device stands under names with an underscore.
# pyright: reportPrivateUsage=false

import importlib
import weakref
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

NAME = "pretend"
BLOCK_BYTES = 512  # what CUDA's allocator rounds a tensor up to

# As autocast on CUDA has them; what it promotes, such as `cat`, an operation promotes by itself.
_LOW = ("conv2d", "linear", "matmul", "mm", "bmm", "addmm", "prelu")
_HIGH = ("pow.Tensor_Scalar", "softmax.int", "log_softmax.int", "norm.Scalar", "exp", "log")
_ALLOCATES = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "detach")
_AUTOCAST = "AutocastPrivateUse1"
_COPIES = ("_to_copy", "copy_")


class Waits(RuntimeError):  # noqa: N818 (what it does)
    """The host would wait for the device."""


class Pretend(TorchDispatchMode):
    """Let everything inside of it be done without being computed.

    Attributes:
        operations: What was launched on the device, by name, since `watched` began.
        live: Bytes that are held on it, rounded as its allocator does.
        peak: The most that were held at a time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.operations: Counter[str] = Counter()
        self.live = self.peak = 0
        self._watched = False
        self._known: weakref.WeakKeyDictionary[torch.UntypedStorage, int] = (
            weakref.WeakKeyDictionary()
        )
        self._stack = ExitStack()
        self._fake = _fakes()

    @property
    def device(self) -> torch.device:
        """Where nothing is computed."""
        return torch.device(NAME)

    def __enter__(self) -> "Pretend":
        """Make tensors fake from here on."""
        make_up()
        self._stack.enter_context(_known_to_optimizers())
        self._stack.enter_context(self._fake)
        super().__enter__()
        self._stack.enter_context(_AsOnCuda())
        return self

    def __exit__(self, *error: Any) -> None:
        """Let tensors be what they are again."""
        super().__exit__(*error)
        self._stack.__exit__(*error)

    @contextmanager
    def watched(self) -> Generator[None]:
        """Count operations, and refuse copies between host and device."""
        self.operations.clear()
        self._watched = True
        try:
            yield
        finally:
            self._watched = False

    def taken_by(self, function: Callable[[], object]) -> int:
        """Do something; give the bytes that it held at the most beside what was held before."""
        before, highest = self.live, self.peak
        self.peak = before
        function()
        taken, self.peak = self.peak - before, max(highest, self.peak)
        return taken

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Do an operation on fake tensors, whatever it is given."""
        args = tree_map_only(Tensor, self._faked, args)
        named: dict[str, Any] = tree_map_only(Tensor, self._faked, kwargs or {})
        space, _, name = func._schema.name.partition("::")
        if space == "prim":  # such as asking where a tensor is
            return func(*args, **named)
        places = _places(args, named)
        result = _fused(places) if name.startswith("_fused_") else func(*args, **named)
        places |= _places(result)
        if NAME in places:
            self._note(func, name, places, result)
        return result

    def _faked(self, tensor: Tensor) -> Tensor:
        return tensor if isinstance(tensor, FakeTensor) else self._fake.from_tensor(tensor)

    def _note(self, func: Any, name: str, places: set[str], result: Any) -> None:
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and tensor.device.type == NAME:
                self._hold(tensor.untyped_storage())
        if not self._watched or func.is_view or name in _ALLOCATES:
            return
        if name in _COPIES and len(places) > 1:
            raise Waits(f"{name} goes from {' to '.join(sorted(places))}")
        self.operations[name] += 1

    def _hold(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        size = -(-storage.nbytes() // BLOCK_BYTES) * BLOCK_BYTES
        self._known[storage] = size
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._let_go, size).atexit = False

    def _let_go(self, size: int) -> None:
        self.live -= size


class _AsOnCuda(TorchFunctionMode):
    """Take the operations that CUDA has, where PyTorch asks for the kind of device."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Do dropout by the operation that keeps a byte an element."""
        given = kwargs or {}
        if func is torch.nn.functional.dropout and given.get("training", True):
            image = args[0]
            return torch.native_dropout(image, given.get("p", 0.5), train=True)[0]
        return func(*args, **given)


def _places(*values: Any) -> set[str]:
    """Name the kinds of devices that tensors of one dimension or more are on."""
    tensors = (leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor))
    return {tensor.device.type for tensor in tensors}


def _fused(places: set[str]) -> None:
    """Stand in for optimizers' kernels, which PyTorch does not know how to fake."""
    if len(places) > 1:
        raise RuntimeError(f"expected all tensors to be on the same device, not {sorted(places)}")


class _Backend(backend_registration._DummyBackendModule):
    """What PyTorch asks a device about."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        """Give the types that autocast may compute in."""
        return [torch.bfloat16, torch.float16]


@cache
def make_up() -> Sequence[object]:
    """Make the device known to PyTorch, once a process; what is given must be kept.

    It must come before the process's first backward pass, in which PyTorch counts the devices.
    """
    torch.utils.rename_privateuse1_backend(NAME)
    backend_registration._setup_privateuseone_for_python_backend(backend_module=_Backend())
    others = torch.library.Library("_", "IMPL")
    others.fallback(torch.library.fallthrough_kernel, _AUTOCAST)
    autocast = torch.library.Library("aten", "IMPL")
    for names, low in ((_LOW, True), (_HIGH, False)):
        for name in names:
            autocast.impl(name, _cast(name, low=low), _AUTOCAST)
    return others, autocast


def _cast(name: str, *, low: bool) -> Callable[..., Any]:
    """Do an operation in autocast's numbers, or in float32."""
    packet, _, overload = name.partition(".")
    operation = getattr(getattr(torch.ops.aten, packet), overload or "default")
    key = torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, _AUTOCAST))

    def cast(*args: Any, **kwargs: Any) -> Any:
        dtype = torch.get_autocast_dtype(NAME) if low else torch.float32

        def as_wanted(tensor: Tensor) -> Tensor:
            return tensor.to(dtype) if tensor.is_floating_point() else tensor

        with torch._C._ExcludeDispatchKeyGuard(key):
            args, kwargs = tree_map_only(Tensor, as_wanted, (args, kwargs))
            return operation(*args, **kwargs)

    return cast


class _Fakes(FakeTensorMode):
    """The mode of tensors that may be copied, with the network that they are in."""

    def __deepcopy__(self, memo: object) -> "_Fakes":
        """Stay one."""
        return self


@cache
def _fakes() -> FakeTensorMode:
    """Give the one mode of a process: what is kept for a device must be of the same for all."""
    return _Fakes()


@contextmanager
def _known_to_optimizers() -> Generator[None]:
    """Let optimizers take fake weights for weights, which they update many at a time."""
    taken: list[type] = importlib.import_module("torch.optim.optimizer")._foreach_supported_types
    taken.append(FakeTensor)
    lifts = torch._C._only_lift_cpu_tensors()
    # A tensor of numbers is made on the CPU, then copied.
    torch._C._set_only_lift_cpu_tensors(True)  # noqa: FBT003
    try:
        yield
    finally:
        torch._C._set_only_lift_cpu_tensors(lifts)
        taken.remove(FakeTensor)
