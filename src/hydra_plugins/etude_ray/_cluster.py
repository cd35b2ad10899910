"""Finding a Ray cluster, or starting one; and what its machines have."""

import atexit
import logging
import signal
import socket
import sys
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any, cast

import ray
from hydra.errors import CompactHydraException

from etude.base.text import first_line
from etude.launch import machine

_PORT_SECONDS = 5.0
_ANSWER_SECONDS = 60.0
_OWN_INIT: Mapping[str, object] = {
    "address": "local",
    "_node_ip_address": "127.0.0.1",
    "include_dashboard": False,
    "object_store_memory": 100_000_000,  # bytes: jobs hand on nothing but what they return
}


def connect(address: str | None, given: Mapping[str, Any]) -> None:
    """Connect this process to a cluster, unless it is.

    Args:
        address: See `RayLauncherConf`.
        given: Other arguments of `ray.init`, over ours.

    Raises:
        CompactHydraException: There is none.
    """
    if ray.is_initialized():
        return
    if address:
        _check_listens(address)
    own = {**_OWN_INIT, "num_cpus": machine.cores()} if address is None else {"address": address}
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        with _signals_kept():
            init = _start if address is None else _join
            init({**quiet, **own, **given})
    except Exception as error:
        raise CompactHydraException(
            f"hydra.launcher.address={address or 'null'}: {first_line(error)} ({_way_out(address)})"
        ) from error
    # Its messages would come between a table's lines, which say the same.
    vars(sys.modules["ray._private.worker"])["_worker_logs_enabled"] = False
    atexit.register(ray.shutdown)


def _start(arguments: Mapping[str, object]) -> None:
    """Call Ray; the processes of a cluster that this begins end with the thread that calls."""
    ray.init(**cast("dict[str, Any]", arguments))


def _join(arguments: Mapping[str, object]) -> None:
    """Connect to a cluster, or give up on one that does not answer: Ray goes on for minutes.

    Nothing interrupts Ray while it asks, so that a thread has to, which ends with the program.
    """
    ended: SimpleQueue[Exception | None] = SimpleQueue()

    def join() -> None:
        try:
            _start(arguments)
        except Exception as error:  # noqa: BLE001 (raised below)
            ended.put(error)
        else:
            ended.put(None)

    threading.Thread(target=join, daemon=True).start()
    try:
        error = ended.get(timeout=_ANSWER_SECONDS)
    except Empty:
        raise TimeoutError(
            f"no answer within {_ANSWER_SECONDS:.0f} s; `ray stop --force` ends one that hangs"
        ) from None
    if error is not None:
        raise error


def places(share: Mapping[str, Any], *, grows: bool) -> int:
    """Count the jobs that a cluster has room for.

    Args:
        share: What a job takes: `num_cpus`, `num_gpus` and `resources`.
        grows: Whether the cluster may get what it lacks.

    Raises:
        CompactHydraException: None of its machines has room for one.
    """
    asked = {"CPU": share["num_cpus"], "GPU": share["num_gpus"], **share["resources"]}
    asked = {name: amount for name, amount in asked.items() if amount}
    machines = [dict(node["Resources"]) for node in ray.nodes() if node["Alive"]]
    fits = [min(int(has.get(name, 0) / asked[name]) for name in asked) for has in machines]
    if not sum(fits) and not grows:
        wanted = " and ".join(f"{amount:g} {name}" for name, amount in asked.items())
        found = "; ".join(sorted({*map(_told, machines)}))
        raise CompactHydraException(
            f"a job asks for {wanted}, which no machine of the Ray cluster has ({found}); "
            "hydra.launcher.num_cpus, num_gpus and resources say what it asks for"
        )
    return max(1, sum(fits))


def _told(has: Mapping[str, float]) -> str:
    """Say what a machine has, without what Ray counts for itself."""
    own = {"memory", "object_store_memory"}
    parts = [f"{has[n]:g} {n}" for n in sorted(has) if n not in own and not n.startswith("node:")]
    return ", ".join(parts) or "nothing"


def _check_listens(address: str) -> None:
    """Find out in seconds whether anything listens; Ray itself takes minutes to give up.

    Raises:
        CompactHydraException: Nothing does.
    """
    host, _, port = address.partition("://")[2 if "://" in address else 0].rpartition(":")
    if not port.isdigit():  # auto, or what only Ray understands
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PORT_SECONDS).close()
    except OSError as error:
        raise CompactHydraException(
            f"hydra.launcher.address={address}: nothing answers ({error}); {_way_out(address)}"
        ) from error


def _way_out(address: str | None) -> str:
    if address is None:
        return "hydra.launcher.init has the arguments of ray.init"
    return "`ray start --head` begins a cluster; hydra.launcher.address=null has one of its own"


@contextmanager
def _signals_kept() -> Generator[None]:
    """Keep Ray from answering SIGTERM for the whole program."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)
