"""More epochs: a run that goes on from a finished one that differs from it in fewer epochs alone.

What it comes to is the same, to the bit, as if it had been trained from its first step: the rates
of these schedules do not depend on the run's length, random numbers are those of an epoch, and a
checkpoint has the rest. It stays compiled, or not, as the shorter run was.
"""

import logging
import shutil
from pathlib import Path

from etude.base.errors import UserError
from etude.base.identity import Identity
from etude.base.text import near
from etude.runs.names import ENVIRONMENT, LAYERS, METRICS
from etude.runs.shorter import shorter
from etude.train.checkpoint import Checkpoints
from etude.train.schedule import (
    Constant,
    Exponential,
    InverseTime,
    Plateau,
    Schedule,
    Steps,
    WarmedSteps,
)
from etude.train.state import Saved

log = logging.getLogger(__name__)

# By class, and not those below them: a user's own may ask for the length.
_OF_ANY_LENGTH = {Constant, Exponential, InverseTime, Plateau, Steps, WarmedSteps}
_SCHEDULER = "scheduler._target_"  # Étude's own by its class alone, others as they were typed


def beginning(
    folder: Path, identity: Identity, conditions: dict[str, str], schedule: Schedule, epochs: int
) -> Saved | None:
    """Take up what a finished run of fewer epochs ended with, its metrics included.

    Args:
        folder: Of the longer run, which is held and holds no checkpoint.
        identity: The longer run's.
        conditions: What a checkpoint of the longer run agrees on.
        schedule: Of both.
        epochs: Of the longer run.

    Returns:
        None where there is no such run, or its end is no beginning of this one, of which is told.
    """
    found = shorter(folder, identity)
    if found is None:
        return None
    other, fingerprint = found
    conditions = {**conditions, "fingerprint": fingerprint}
    saved, reason = _end_of(other, conditions, schedule, str(identity.decisive[_SCHEDULER]))
    if saved is None or not 0 < saved["epoch"] < epochs or saved["step"]:
        reason = reason or "its last checkpoint is not that of its end"
        log.info("not begun with the finished run of fewer epochs, %s: %s", near(other), reason)
        return None
    for name in (METRICS, ENVIRONMENT, LAYERS):
        if (other / name).exists():
            shutil.copyfile(other / name, folder / name)
    log.info("begun with the finished run of fewer epochs, %s", near(other))
    return saved


def _end_of(
    folder: Path, conditions: dict[str, str], schedule: Schedule, called: str
) -> tuple[Saved | None, str]:
    """Give what a run ended with, or why it cannot be gone on from."""
    if type(schedule) not in _OF_ANY_LENGTH:
        may = "may " if "." in called else ""  # of a class that is not Étude's nobody knows
        return None, f"the rates of {called} {may}depend on the number of epochs"
    checkpoints = Checkpoints(folder, identity=conditions, every_seconds=0.0, every_steps=None)
    try:
        saved = checkpoints.load()
    except UserError as error:
        return None, str(error)
    return saved, "" if saved is not None else "it has no checkpoint any more"
