"""TensorBoard's view of a run, open from its first step to its end, where it is asked for."""

import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from etude.base.identity import Identity
from etude.base.text import trial
from etude.config import Config
from etude.train.builders import Parts
from etude.train.loop import Stopped
from etude.train.record.view import View
from etude.train.stop import Pruned, Requeued


@contextmanager
def shown(
    config: Config, folder: Path, identity: Identity, parts: Parts, arm: str
) -> Generator[View]:
    """Open a run's view; close it with how the run ended.

    Args:
        config: Says whether there is one, and what it shows.
        folder: The run's.
        identity: Gives the hyperparameters.
        parts: Its state is before its first step, or as it was saved.
        arm: What the run shares with those that differ only in their seed.
    """
    if not config.record.tensorboard:
        yield View()
        return
    from etude.train.record.events import Events  # noqa: PLC0415 (TensorBoard takes its time)
    from etude.train.record.tensorboard_views import Views  # noqa: PLC0415 (with it)

    purge = parts.state.epoch + 1 if parts.state.global_step else None
    if purge is None:  # it begins, perhaps once more: a kill came before the first checkpoint
        for file in folder.glob("events.out.tfevents.*"):
            file.unlink()
    events = Events(folder, identity.decisive, group=trial(arm, config.name), purge_step=purge)
    succeeded: bool | None = False
    views = Views(events, config.record, parts.plan, parts.classes, parts.part_sizes)
    try:
        with _quiet_threads():
            yield views
        succeeded = True
    except (Stopped, KeyboardInterrupt, Requeued, Pruned):
        succeeded = None
        raise
    finally:
        with suppress(RuntimeError):  # a device that has failed has no trace to give
            views.close()  # or the profiler would outlive what it profiles: a segmentation fault
        events.close(succeeded=succeeded)


@contextmanager
def _quiet_threads() -> Generator[None]:
    """Let TensorBoard's thread end on a full disk without its traceback: the next call tells."""
    before = threading.excepthook

    def told(args: threading.ExceptHookArgs) -> None:
        ours = type(args.thread).__module__.startswith("tensorboard.")
        if not (ours and issubclass(args.exc_type, OSError)):
            before(args)

    threading.excepthook = told
    try:
        yield
    finally:
        threading.excepthook = before
