"""What a launcher may ask of the task that it launches; this is all that the two know of another.

Hydra hands a launcher one callable. Where that callable also has the methods below, the launcher
makes use of them; a plain function has none, and is launched all the same. Each is called in the
launcher's process with the job's whole configuration, the node `hydra` and its output folder in
`hydra.runtime.output_dir` included.

    about(config) -> About           before any job is started
    memory(config) -> int | None     bytes that it will need on a GPU, asked where there is one
    progress(config) -> Progress     again and again while it runs, and once after its end
    alone(config) -> a context       while the task is pickled for this job's process, so that it
                                     can leave behind what only other jobs need

Two attributes are looked at besides:

    preload: Sequence[str]           modules that every job needs, imported once for all of them
    exit_code: int                   after the call: what the job's process shall end with; a task
                                     that tells of its errors itself says with it that it failed
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from etude.runs.state import RunState


@dataclass(frozen=True)
class About:
    """What is known of a job before it is started.

    Args:
        finished: Whether it was done earlier, so that no process is needed.
        result: What it returned then.
        cost: How long it takes, in any unit: the longest is started first.
        after: Output folders of the jobs that must be finished before it begins.
        label: What people call it; an empty text leaves that to the launcher.
        device: `auto` or `cuda` for any device, `cpu`, or `cuda:<number>` for that one.
    """

    finished: bool = False
    result: Any = None
    cost: float = 0.0
    after: tuple[Path, ...] = ()
    label: str = ""
    device: str = "auto"


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    Args:
        done: The part of it that is done, from 0 to 1; None where nobody can tell.
        text: Where it is, in a few words, such as `epoch 3/10`.
        score: The result so far, in a few words.
        seconds_left: Until its end; None where nobody can tell.
        state: Where it stands by its own word; None where it has none.
    """

    done: float | None = None
    text: str = ""
    score: str = ""
    seconds_left: float | None = None
    state: RunState | None = None


class TaskMethods:
    """A task's optional methods, with what holds where they are missing.

    Args:
        task: The callable that Hydra handed over.
    """

    def __init__(self, task: Any) -> None:
        self._task = task

    @property
    def preload(self) -> tuple[str, ...]:
        """Give the modules that every job needs."""
        return tuple(getattr(self._task, "preload", ()))

    def about(self, config: Any) -> About:
        """Tell of a job before it starts."""
        about = getattr(self._task, "about", None)
        return About() if about is None else about(config)

    def memory(self, config: Any) -> int | None:
        """Give the bytes that a job needs on a GPU; None if nobody knows."""
        memory = getattr(self._task, "memory", None)
        return None if memory is None else memory(config)

    def progress(self, config: Any) -> Progress:
        """Tell how far a job is."""
        progress = getattr(self._task, "progress", None)
        return Progress() if progress is None else progress(config)

    def alone(self, config: Any) -> AbstractContextManager[None]:
        """Have the task be pickled for one job's process."""
        alone = getattr(self._task, "alone", None)
        return nullcontext() if alone is None else alone(config)
