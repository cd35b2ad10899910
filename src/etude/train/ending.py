"""How a run ended, whatever ended it: into its summary, and in words."""

import logging
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from etude.base.errors import UserError
from etude.base.text import near
from etude.runs.names import LAST, SUMMARY
from etude.runs.notify import notify, of_run
from etude.runs.records import Summary, overwrite_json
from etude.runs.state import RunState
from etude.runs.status import state_of
from etude.train.checkpoint import Checkpoints
from etude.train.loop import Diverged, Stopped
from etude.train.stop import Pruned, Requeued

log = logging.getLogger(__name__)
_NEWS = {RunState.FINISHED, RunState.FAILED, RunState.DIVERGED}


@contextmanager
def verdict(
    folder: Path, summary: dict[str, object], checkpoints: Checkpoints, receiver: str | None
) -> Generator[None]:
    """Put into the summary how the run ended, write it, and tell whom it may concern.

    The checkpoint of a run that diverged is let go of.

    Raises:
        SystemExit: A signal came, and the state has been saved.
    """
    try:
        yield
    except Stopped as stopped:
        log.warning("stopped, and saved; the same command goes on from here")
        summary |= {"state": "preempted"}
        raise SystemExit(stopped.exit_code) from None
    except (KeyboardInterrupt, Requeued):
        summary |= {"state": "preempted"}
        raise
    except Pruned as pruned:
        summary |= {"state": "pruned", "epochs": pruned.epoch}
        raise
    except (Exception, SystemExit) as error:  # a network of the user's own may call sys.exit
        if isinstance(error, Diverged):
            checkpoints.take_back(*error.at)
        summary |= {"state": "failed", "error": f"{type(error).__name__}: {error}"}
        _tell(error, folder)
        raise
    finally:
        try:
            overwrite_json(folder / SUMMARY, summary)
        except OSError as unwritten:
            if summary["state"] == "finished":
                raise
            log.warning("%s", unwritten)  # what the run ended of is the news
        if (state := state_of(cast("Summary", summary))) in _NEWS:
            notify(receiver, of_run(folder, {**summary, "state": state}))


@contextmanager
def failing() -> Generator[None]:
    """Let what is wrong from here on, as an image that is gone, be a failure and no refusal."""
    try:
        yield
    except UserError as error:
        error.code = 1
        raise


def _tell(error: BaseException, folder: Path) -> None:
    """Put an error into the run's own log; a divergence is a result and needs no traceback."""
    if isinstance(error, Diverged):
        saved = (folder / LAST).exists()
        path = near(folder / LAST)
        where = f"the last good checkpoint is {path}" if saved else "there is no checkpoint yet"
        error.add_note(f"{where}; a lower optimizer.lr or train.clip_norm may help")
        log.info("%s; %s", error, where)
    else:
        log.debug("the run failed", exc_info=error)
