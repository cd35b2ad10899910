"""The bars that a person sees in the terminal while a run trains, and before."""

import time
from collections.abc import Generator
from contextlib import contextmanager, nullcontext
from functools import partial
from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from etude.base.progress import Tell, shown_by
from etude.cli.terminal import console, errors

_EVERY, _FIRST = 0.2, 1.0  # seconds between two looks, and until there is something to show


class Bar:
    """A live bar over all steps of a run: loss, accuracy, images/s and time left.

    Nothing is drawn where there is no terminal; the log has a line an epoch then.

    Args:
        peek: Gives the epoch's (loss, accuracy) so far, or None if the device is not done yet.
        done: Steps done before.
        steps: Steps in an epoch.
        epochs: Epochs in all.
        batch_size: Images in a step.
        hidden: Draw nothing at all.
    """

    def __init__(
        self,
        peek: Any,
        *,
        done: int,
        steps: int,
        epochs: int,
        batch_size: int,
        hidden: bool = False,
    ) -> None:
        self._peek = peek
        self._steps, self._epochs, self._batch_size = steps, epochs, batch_size
        self._shown = (time.monotonic(), done)
        self._progress = Progress(
            TextColumn("epoch {task.fields[epoch]}/" + str(epochs)),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[score]}"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            auto_refresh=False,
            transient=True,
            disable=hidden or not console.is_terminal,
        )
        self._task = self._progress.add_task(
            "", total=steps * epochs, completed=done, epoch=1, score="", speed=""
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._progress.stop()

    def step(self, state: Any) -> None:
        """Take note of a step."""
        now = time.monotonic()
        then, done = self._shown
        if self._progress.disable or now - then < _EVERY:
            return
        self._shown = (now, state.global_step)
        speed = (state.global_step - done) * self._batch_size / (now - then)
        update = partial(self._progress.update, self._task)
        update(completed=state.global_step, epoch=state.epoch + 1, speed=f"{speed:,.0f} images/s")
        if (score := self._peek(state)) is not None:
            update(score=f"loss {score[0]:.4f}  accuracy {score[1]:.4f}")
        self._progress.refresh()


@contextmanager
def bars() -> Generator[None]:
    """Show what takes its time before a run as a bar; in a log or a file, lines tell of it."""
    with shown_by(_bar) if errors.is_terminal else nullcontext():
        yield


@contextmanager
def _bar(what: str, total: int) -> Generator[Tell]:
    """Draw a bar beside what a script may read, once it has taken a second."""
    bar = Progress(
        TextColumn(what), BarColumn(bar_width=None), MofNCompleteColumn(),
        TimeRemainingColumn(compact=True), console=errors, auto_refresh=False, transient=True,
    )  # fmt: skip
    task = bar.add_task("", total=total)
    drawn, began = time.monotonic(), False

    def tell(done: int) -> None:
        nonlocal drawn, began
        now = time.monotonic()
        if now - drawn < (_EVERY if began else _FIRST):
            return
        if not began:
            bar.start()
        drawn, began = now, True
        bar.update(task, completed=done)
        bar.refresh()

    try:
        yield tell
    finally:
        if began:
            bar.stop()
