"""Learning rates as functions of the step, in the durations that papers and Keras give.

A schedule is built from plain numbers, durations in epochs. `bind` tells it the run it belongs to;
after that `lr_at` gives the rate of a step: of any step for the schedules of `planned`, of the
epoch under way for those of `following`.
"""

from etude.train.schedule.base import Schedule
from etude.train.schedule.following import Plateau, WarmedSteps
from etude.train.schedule.planned import Constant, Cosine, Exponential, InverseTime, Steps

__all__ = [
    "Constant",
    "Cosine",
    "Exponential",
    "InverseTime",
    "Plateau",
    "Schedule",
    "Steps",
    "WarmedSteps",
]
