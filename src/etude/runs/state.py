"""The states of a run: the only list of them, and what each means for those who ask."""

from enum import StrEnum


class RunState(StrEnum):
    """Where a run stands; the value is what people and scripts read.

    `summary.json` has only what a run could say of itself: `running`, `preempted`, `failed`,
    `pruned` or `finished`. The order is that in which a reader should worry.
    """

    FINISHED = "finished"
    PRUNED = "pruned"  # given up by its search
    RUNNING = "running"
    PREEMPTED = "preempted"  # it was asked to stop, and saved
    CUT_OFF = "cut off"  # its process died without a word
    DIVERGED = "diverged"  # the loss became NaN or infinite
    FAILED = "failed"
    NOT_STARTED = "not started"

    @property
    def over(self) -> bool:
        """Whether it stays as it is until somebody gives a command."""
        return self not in {RunState.RUNNING, RunState.NOT_STARTED}

    @property
    def left(self) -> bool:
        """Whether there is something to train, by a process that is at work or by a command."""
        return self not in {RunState.FINISHED, RunState.PRUNED}

    @property
    def has_result(self) -> bool:
        """Whether its summary has `final` and `best`."""
        return self is RunState.FINISHED

    @property
    def went_wrong(self) -> bool:
        """Whether it came to an end that it was not meant to have."""
        return self in {RunState.DIVERGED, RunState.FAILED}
