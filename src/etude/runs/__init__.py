"""A run's folder: what is in it, who may write there, and where the run stands.

Nothing in here knows PyTorch, Hydra or the terminal, so that a report, a launcher and another
terminal can ask. `names` has the files' names, `records` what is in them, `claim` who works there,
`state` and `status` where a run stands, `find` where runs are, `frame` all of them as a table,
`environment` what a run was made with, `study` what a study planned.
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame


class _Room(ModuleType):
    """The room itself can be called: people write `etude.runs("outputs")`, and mean its table."""

    def __call__(self, folder: str | Path = "outputs") -> "DataFrame":
        from etude.runs.frame import frame  # noqa: PLC0415 (not needed to know a file's name)

        return frame(folder)


sys.modules[__name__].__class__ = _Room
