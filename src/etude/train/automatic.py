"""Steps as fast as they can be had: captured, or eager where a run cannot be captured."""

import logging

from etude.data.batch import Split
from etude.train.cuda import Cuda
from etude.train.graph import Captured
from etude.train.replay import CannotCapture
from etude.train.state import State
from etude.train.step import Eager, Step

log = logging.getLogger(__name__)


class Automatic:
    """Capture the steps; where they cannot be, say so once and do them eagerly from there on.

    Both do the same operations, so a run's bits do not tell which it was; no step is done twice, or
    lost, where one takes over from the other.

    Args:
        step: What is done with each batch.
        cuda: What runs and captures it.
    """

    def __init__(self, step: Step, cuda: Cuda | None = None) -> None:
        self._step = step
        self._steps: Captured | Eager = Captured(step, cuda)

    def begin(self, state: State, images: Split, *, seed: int, batch_size: int) -> None:
        """Take up what is left of the epoch under way."""
        self._epoch = images, seed, batch_size
        try:
            self._steps.begin(state, images, seed=seed, batch_size=batch_size)
        except CannotCapture as error:
            self._give_up(state, error)

    def advance(self, state: State) -> None:
        """Do the next step, and note what it saw."""
        try:
            self._steps.advance(state)
        except CannotCapture as error:
            self._give_up(state, error)
        else:
            return
        # Not before here is what the attempt holds let go with its error: it may have run out.
        self._steps.advance(state)

    def _give_up(self, state: State, error: CannotCapture) -> None:
        log.info("steps are done eagerly, which is slower: %s", error.reason)
        state.optimizer.zero_grad()  # a capture that failed has some, which nothing has computed
        images, seed, batch_size = self._epoch
        self._steps = Eager(self._step)
        self._steps.begin(state, images, seed=seed, batch_size=batch_size)
