"""The bar that a person sees in the terminal while a run trains."""

import time
from functools import partial
from types import TracebackType
from typing import Any, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from etude.cli.terminal import console


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

    _EVERY = 0.2  # seconds

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
        if self._progress.disable or now - then < self._EVERY:
            return
        self._shown = (now, state.global_step)
        speed = (state.global_step - done) * self._batch_size / (now - then)
        update = partial(self._progress.update, self._task)
        update(completed=state.global_step, epoch=state.epoch + 1, speed=f"{speed:,.0f} images/s")
        if (score := self._peek(state)) is not None:
            update(score=f"loss {score[0]:.4f}  accuracy {score[1]:.4f}")
        self._progress.refresh()
