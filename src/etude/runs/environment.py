"""What a run was made with, so that a difference can be told later."""

import hashlib
import os
import platform
import socket
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypedDict

import etude
from etude.base.atomic import write_text
from etude.runs.checkout import Git, difference, git
from etude.runs.installed import installed
from etude.runs.names import DIFFERENCE, ENVIRONMENT
from etude.runs.records import read_as, write_json

LIBRARIES = ("torch", "torchvision", "hydra-core", "omegaconf", "numpy", "scikit-learn", "pillow")


class Software(TypedDict):
    """What decides a result beside the configuration: versions, and a hash of Étude's own code."""

    versions: dict[str, str]
    code: str


class Environment(TypedDict, total=False):
    """What `environment.json` says; other versions of Étude may have other keys."""

    versions: dict[str, str]
    installed: dict[str, str]  # with all that these require
    code: str
    git: Git | None
    command: list[str]
    host: str
    platform: str
    processor: str
    cores: int | None
    resumed: "list[Environment]"  # what it went on with later


def environment() -> Environment:
    """Describe the software, the machine and the command."""
    return {
        **software(),
        "git": git(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "processor": processor_name(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
    }


def software() -> Software:
    """Give the versions of what decides a result, and a hash of Étude's own code."""
    versions = {"python": platform.python_version(), "etude": etude.__version__}
    for library in LIBRARIES:
        try:
            versions[library] = version(library)
        except PackageNotFoundError:  # pragma: no cover (they are all required)
            continue
    return {"versions": versions, "code": _code()}


def since(folder: Path) -> list[str]:
    """Say in words how today's software differs from what a folder's run was made with."""
    then = read_environment(folder)
    if not then:
        return []
    now = software()
    old = then.get("versions", {})
    changed = [
        f"{name} {old.get(name, '(none)')} → {new}"
        for name, new in now["versions"].items()
        if old.get(name) != new
    ]
    if then.get("code") != now["code"]:
        changed.append("Étude's code has changed")
    return changed


def write_environment(folder: Path) -> None:
    """Record what a run is made with; what it goes on with later is added to that."""
    now, then = environment(), read_environment(folder)
    now["installed"] = installed(["etude", *LIBRARIES])
    _keep_difference(folder, now)
    whole = {**then, "resumed": [*then.get("resumed", []), now]} if then else {**now, "resumed": []}
    write_json(folder / ENVIRONMENT, whole)


def _keep_difference(folder: Path, now: Environment) -> None:
    """Put beside what was changed since the commit, under a name of its content."""
    checkout = now.get("git")
    if not checkout or not checkout["dirty"] or (text := difference()) is None:
        return
    digest = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:8]
    checkout["difference"] = DIFFERENCE.format(digest) if text else ""
    if text:
        write_text(folder / checkout["difference"], text)


def read_environment(folder: Path) -> Environment:
    """Give what a folder's run was made with; nothing where it does not say."""
    return read_as(folder / ENVIRONMENT, Environment) or {}


def changed_within(then: Environment) -> bool:
    """Say whether a run went on with other software than it began with."""
    later = then.get("resumed", [])
    return any(part.get(key) != then.get(key) for part in later for key in ("versions", "code"))


def _code() -> str:
    root = Path(etude.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def processor_name() -> str:
    """Name the processor as its maker does, where that is known."""
    return processor("model name") or platform.processor() or platform.machine()


def processor(field: str) -> str:
    """Give what Linux tells of a core, such as `model name` or `flags`; nothing elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")
