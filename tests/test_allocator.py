import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import SMALL

from etude.base import allocator
from etude.train import builders

GLIBC = pytest.mark.skipif(
    "glibc" not in (os.confstr("CS_GNU_LIBC_VERSION") or ""), reason="another C library"
)
# Frees a large block ten times; prints the pages that the kernel had to give for it.
FREES = """
import resource
from etude.base.allocator import keep_memory
kept = {keep}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
bytearray(50_000_000)
before = faults()
for _ in range(10):
    bytearray(50_000_000)
print(kept, faults() - before)
"""


def told(keep: str, **environment: str) -> tuple[str, int]:
    """Whether a fresh process keeps its memory, and the pages that it asked for again."""
    theirs = ("GLIBC_TUNABLES", "LD_PRELOAD", "MALLOC_")
    own = {key: value for key, value in os.environ.items() if not key.startswith(theirs)}
    command = [sys.executable, "-c", FREES.format(keep=keep)]
    done = subprocess.run(
        command, env=own | environment, check=True, capture_output=True, text=True
    )
    kept, pages = done.stdout.split()
    return kept, int(pages)


@GLIBC
def test_memory_that_is_freed_is_used_again_without_asking_the_kernel():
    assert told("False")[1] > 10_000
    kept, pages = told("keep_memory()")
    assert kept == "True"
    assert pages < 100


@pytest.mark.parametrize(
    "own",
    [
        {"MALLOC_TRIM_THRESHOLD_": "1"},
        {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=4096"},
        {"LD_PRELOAD": ""},
    ],
)
def test_what_the_user_has_set_for_the_allocator_stays(own: dict[str, str]):
    assert told("keep_memory()", **own)[0] == "False"


@pytest.mark.parametrize("error", [ValueError, AttributeError, OSError])
def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch, error: type[Exception]):
    def confstr(_name: str) -> str:
        raise error

    monkeypatch.setattr(os, "confstr", confstr)
    assert not allocator.keep_memory({})


@pytest.mark.parametrize(("word", "times"), [("true", 1), ("false", 0)])
def test_a_run_keeps_its_memory_unless_it_is_told_not_to(
    workplace: Path,
    etude: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    word: str,
    times: int,
):
    calls: list[None] = []
    monkeypatch.setattr(builders, "keep_memory", lambda: calls.append(None))
    assert etude(*SMALL, f"train.keep_memory={word}") == 0
    assert len(calls) == times


def test_keeping_memory_is_not_part_of_what_makes_a_run(workplace: Path, etude: Callable[..., int]):
    assert etude(*SMALL) == 0
    assert etude(*SMALL, "train.keep_memory=false") == 0
    assert len(list(workplace.glob("outputs/*/*/summary.json"))) == 1
