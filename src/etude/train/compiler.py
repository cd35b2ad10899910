"""A run's steps as compiled kernels: what is compiled, and what is done where it cannot be.

PyTorch's compiler makes few kernels of many operations, in seconds to tens of them. They round
otherwise than the operations one by one, so that a run is compiled from its first step to its last
or not at all: a checkpoint says which, and nothing that comes later changes it.
"""

import logging
import os
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, TypeVar

import torch
from filelock import FileLock, Timeout
from torch import nn

from etude.base.errors import UserError
from etude.base.places import cache_folder
from etude.train.optim.keras import KerasAdam

log = logging.getLogger(__name__)

_LONGEST = 600  # seconds to wait for another process that compiles the same

T = TypeVar("T")


def _nothing() -> None:
    """Bring nothing back, as nothing has changed."""


class Compiler:
    """Compile a run's functions when they are first called, or leave them as they are.

    Args:
        on: Compile them.
        deterministic: Choose no kernel by timing where the choice would change bits.

    Attributes:
        on: Whether they are compiled, or will be.
        settled: Whether a checkpoint was made so, and it has to stay.
    """

    def __init__(self, *, on: bool = False, deterministic: bool = True) -> None:
        self.on = on
        self.settled = False
        self._options: dict[str, Any] | None = {"deterministic": True} if deterministic else None
        self._done: set[str] = set()
        self._made: dict[object, Callable[..., Any]] = {}
        if on:
            use_cache()  # before PyTorch's compiler, whoever loads it, takes a folder of its own

    def settle(self, *, on: bool) -> None:
        """Become what a checkpoint's steps were done with."""
        self.on, self.settled = on, True
        if on:
            use_cache()

    def __call__(self, function: Callable[..., T]) -> Callable[..., T]:
        """Give a function's compiled form; it is compiled when it is first called."""
        made: list[Callable[..., T]] = []

        def compiled(*args: object) -> T:
            if not made:  # not before it is needed: PyTorch's compiler takes seconds to import
                made.append(torch.compile(function, dynamic=False, options=self._options))
            return made[0](*args)

        return compiled

    def do(self, name: str, function: Callable[..., T], *arguments: object) -> T:
        """Call a function, compiled if this is on; a failed attempt to compile it changes nothing.

        Args:
            name: Likewise, of what its code depends on besides itself.
            function: Any that stays the same one.
            arguments: Its own.
        """
        made = self._made.setdefault(function, self(function))
        plain, compiled = partial(function, *arguments), partial(made, *arguments)
        return self.attempt(f"{function.__name__}-{name}", compiled, plain)

    def attempt(
        self,
        name: str,
        compiled: Callable[[], T],
        plain: Callable[[], T],
        *,
        keep: Callable[[], Callable[[], None]] = lambda: _nothing,
    ) -> T:
        """Do something compiled; where it cannot be compiled, say so, and do it as it is.

        Args:
            name: What it is, and what its code depends on: processes with the same name wait for
                the first of them.
            compiled: Does it compiled.
            plain: Does it as it is.
            keep: Keeps what a failed attempt might have changed, and gives what brings it back.

        Raises:
            UserError: It cannot be compiled here, and the run was begun so.
        """
        if not self.on:
            return plain()
        if name in self._done:
            return compiled()
        bring_back = keep()
        self._announce()
        try:
            with _alone(name), _limits(), _silence():
                result = compiled()
        except Exception as error:  # noqa: BLE001 (a compiler, and any network's code in it)
            bring_back()
            self._give_up(error)
        else:
            self._done.add(name)
            return result
        return plain()  # where what the attempt holds has been let go with its error

    def _announce(self) -> None:
        """Say once what the wait is for."""
        if not self._done:
            log.info("compiling the steps, which takes from some seconds to a minute")

    def _give_up(self, error: Exception) -> None:
        reason = f"{type(error).__name__}: {_reason(error)}"
        if self.settled:
            raise UserError(
                "this run was begun with its steps compiled, and they cannot be compiled here "
                f"({reason}); go on where it began, or start over with fresh=true"
            ) from error
        log.warning("steps are not compiled, which is slower: %s", reason)
        self.on = False


def _reason(error: Exception) -> str:
    """Find the line that says something: PyTorch's begin with whose error it is."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.endswith("raised:")]
    return told[0] if told else "no reason given"


def _limits() -> AbstractContextManager[object]:
    """Compile for the networks of all runs in a process, of which PyTorch would give up the ninth.

    It would do so without a word that the program could hear.
    """
    config: Any = torch.compiler.config
    return config.patch(recompile_limit=64, fail_on_recompile_limit_hit=True)


@contextmanager
def _silence() -> Generator[None]:
    """Keep PyTorch's compiler from telling what concerns nobody, unless it was asked to."""
    before = logging.root.manager.disable
    if "TORCH_LOGS" not in os.environ:
        logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


@contextmanager
def _alone(name: str) -> Generator[None]:
    """Compile while no other process compiles the same, which then finds it in the cache."""
    use_cache()
    folder = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    if folder is None:
        yield
        return
    lock = FileLock(os.path.join(folder, f"lock-{name}"))  # noqa: PTH118 (as the variable has it)
    try:
        _acquire(lock)
    except (OSError, NotImplementedError, Timeout):  # a file system without locks; a hung process
        log.debug("compiling without waiting for others")
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: Any) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.info("another process compiles the same; waiting for it")
        start = time.monotonic()
        lock.acquire(timeout=_LONGEST)
        log.debug("waited %.1f s", time.monotonic() - start)


def use_cache() -> None:
    """Have PyTorch keep what it compiles where all runs of a user find it, if nowhere else."""
    if "TORCHINDUCTOR_CACHE_DIR" in os.environ:
        return
    try:
        folder = cache_folder() / "compiled"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, UserError) as error:  # then where PyTorch has it by default
        log.debug("no folder for what is compiled: %s", error)
        return
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)


def one_kernel(optimizer: torch.optim.Optimizer) -> bool:
    """Say whether an optimizer's update goes through its weights once as it is, by a fused kernel.

    Compiling it would gain nothing; and PyTorch does not compile such kernels.
    """
    fused = all(group.get("fused") for group in optimizer.param_groups)
    return fused or isinstance(optimizer, KerasAdam)


def what_passes_change(
    model: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device
) -> Callable[[], None]:
    """Keep what forward and backward passes change, and give what brings it back."""
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    random = torch.get_rng_state()
    random_cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def bring_back() -> None:
        for buffer, value in buffers:
            buffer.copy_(value)
        torch.set_rng_state(random)
        if random_cuda is not None:
            torch.cuda.set_rng_state(random_cuda, device)
        optimizer.zero_grad()

    return bring_back
