"""What a study set out to do, for reports: its question, its arms, and the runs that it planned."""

from pathlib import Path
from typing import TypedDict

from etude.runs.names import STUDY
from etude.runs.records import read_as, write_json


class PlannedRun(TypedDict):
    """One of a study's runs: its arm's name, and its seed."""

    arm: str
    seed: int


class StudyPlan(TypedDict):
    """What `study.json` says."""

    study: str
    question: str
    claim: str
    source: str
    baseline: str
    metric: str
    margin: float | None  # the largest difference of it that does not matter
    axes: list[str]
    arms: dict[str, list[str]]  # of each arm its level on each axis
    command: list[str]
    runs: dict[str, PlannedRun]  # by the names of their folders
    reach: float | None  # of the metric: what epochs are counted to
    claims: list[str]  # as `one arm > another`
    tuned: dict[str, str]  # of each arm the words that were chosen for it
    looks: int  # rounds of seeds at the end of which its arms may be judged


def write_plan(folder: Path, plan: StudyPlan) -> None:
    """Put a study's plan into the folder that holds its runs.

    Runs that an earlier command planned in there (other seeds, another scale) stay in the plan.
    """
    earlier = read_plan(folder)
    folder.mkdir(parents=True, exist_ok=True)
    runs = plan["runs"] if earlier is None else {**earlier.get("runs", {}), **plan["runs"]}
    write_json(folder / STUDY, {**plan, "runs": runs})


def read_plan(folder: Path) -> StudyPlan | None:
    """Give the plan of the study whose runs a folder holds, or None."""
    plan: StudyPlan | None = read_as(folder / STUDY, StudyPlan)
    if plan is None:
        return None
    axes = len(plan.get("axes", ()))
    if any(len(levels) != axes for levels in plan.get("arms", {}).values()):
        return None
    return plan


def rounds(first: int, most: int) -> tuple[int, ...]:
    """Give the seeds that an arm has had at the end of each round, twice as many each time.

    Few looks cost little, see `etude.report.rounds`: of 20 seeds four, at 3, 6, 12 and 20.

    Args:
        first: Seeds of the first round.
        most: Seeds of the last; a round that would add less than half is one with the last.
    """
    found = [first]
    while 3 * found[-1] <= most:
        found.append(2 * found[-1])
    return (*found, most) if most > found[-1] else tuple(found)
