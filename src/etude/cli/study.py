"""A study: arms × seeds of one experiment, from a file in `conf/study/` to words of the command.

Each of its runs is an ordinary run that the same words would make one by one; the study only says
which belong together, what is varied, and what its document claims.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from etude.base.errors import UserError
from etude.base.nearest import unknown
from etude.cli.study_file import check_file
from etude.runs.study import PlannedRun, StudyPlan, rounds

SIZES = ("full", "medium", "small", "why")
# Of the runs that choose an arm's rate: no seed of the study, so that none owes its result to luck.
TUNING_SEED = 1000
METRICS = ("test_accuracy", "train_accuracy")
# Keys that a study is chosen and changed with; its runs know nothing of them.
KEYS = ("study", "size", "pretrained")
_PRETRAINED = "init.weights=imagenet"
_FIRST = 3  # seeds of a first round, of a study that has fewer


@dataclass(frozen=True)
class StudyArm:
    """One combination of levels.

    Args:
        name: Of its levels.
        words: That make it.
        levels: Its level on each axis.
        tune: Words with several values, of which it is given the best on the validation split.
    """

    name: str
    words: tuple[str, ...]
    levels: tuple[str, ...] = ()
    tune: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """One study at one size.

    Args:
        name: Of the folder below `outputs/` that holds its runs.
        question: What it asks, in a line.
        claim: What the document answers, in words and figures; empty for a user's own study.
        source: Where the document says so; empty likewise.
        experiment: The file that every run starts from.
        baseline: The arm that others are compared with.
        seeds: One run of each arm for each.
        arms: All combinations of the levels of its axes.
        axes: What is varied, by name.
        words: What every run has besides.
        metric: What its arms are compared by: test_accuracy, or train_accuracy where the claim is
            about the training error.
        reach: A value of the metric; the first epoch that reached it is told beside. None tells
            none.
        margin: δ, the largest difference of the metric that does not matter, stated before it is
            run; None if the file does not say.
        claims: What the document claims, each as `A > B` or `A = B` of two arms; see
            `etude.report.claims`.
        tuned: Of each arm the words that tuning chose for it.
        chooses: Whether it is itself the tuning, whose runs choose another study's rates.
        looks: Seeds of an arm at the end of each round, where arms get seeds in rounds.
        counts: Of each arm the seeds that it has so far; all of them, unless said otherwise.
    """

    name: str
    question: str
    claim: str
    source: str
    experiment: str
    baseline: str
    seeds: tuple[int, ...]
    arms: tuple[StudyArm, ...]
    words: tuple[str, ...]
    metric: str
    reach: float | None
    axes: tuple[str, ...] = ()
    margin: float | None = None
    claims: tuple[str, ...] = ()
    tuned: Mapping[str, str] = field(default_factory=dict[str, str])
    chooses: bool = False
    looks: tuple[int, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict[str, int])

    def runs(self) -> Iterator[tuple[StudyArm, tuple[str, ...]]]:
        """Give the words of every run, arm by arm."""
        name = (f"experiment={self.experiment}", f"name={self.name}")
        for arm in self.arms:
            for seed in self.seeds[: self.counts.get(arm.name)]:
                yield arm, (*name, *self.words, *arm.words, f"seed={seed}")

    def plan(self, runs: Mapping[str, PlannedRun], command: Sequence[str]) -> StudyPlan:
        """Give what reports must know of it.

        Args:
            runs: By the names of their folders.
            command: The words that were typed.
        """
        return {
            "study": self.name,
            "question": self.question,
            "claim": self.claim,
            "source": self.source,
            "baseline": self.baseline,
            "metric": self.metric,
            "margin": self.margin,
            "axes": list(self.axes),
            "arms": {arm.name: list(arm.levels) for arm in self.arms},
            "command": ["etude", *command],
            "runs": dict(runs),
            "reach": self.reach,
            "claims": list(self.claims),
            "tuned": dict(self.tuned),
            "looks": len(self.looks) or 1,
        }


def read(name: str, content: object, *, size: str, pretrained: bool) -> Study:
    """Make a study of its file's content.

    Args:
        name: The file's.
        content: What it says.
        size: `full`; `medium` for narrower networks of the same depth, on fewer of the same images;
            `small` for its twin that runs anywhere in minutes; or `why`, an experiment about what
            the medium one gave, which asks and claims something of its own.
        pretrained: Whether the arms that need pretrained weights belong to it.

    Raises:
        UserError: The file lacks something, or a word is not as it must be.
    """
    if size not in SIZES:
        raise UserError(f"size={size} must be one of {', '.join(SIZES)}")
    node = check_file(name, content, size)
    twin = node[size]
    arms = tuple(_arms(twin["axes"], twin.get("tune", ()), pretrained=pretrained))
    study = Study(
        name=name if size == "full" else f"{name}_{size}",
        question=str(twin.get("question", node["question"])),
        claim=str(twin.get("claim", node.get("claim", ""))),
        source=str(node.get("source", "")),
        experiment=str(twin["experiment"]),
        baseline=str(twin["baseline"]),
        seeds=_seeds(twin.get("seeds", node["seeds"])),
        arms=arms,
        words=tuple(twin.get("words", ())),
        metric=str(node.get("metric", METRICS[0])),
        reach=node.get("reach"),
        axes=tuple(twin["axes"]),
        margin=node.get("margin"),
        claims=tuple(twin.get("claims", ())),
    )
    if study.metric not in METRICS:
        raise UserError(f"study={name}: metric={study.metric} must be one of {', '.join(METRICS)}")
    return _with_baseline(study, pretrained=pretrained)


def in_rounds(study: Study, most: int) -> Study:
    """Give a study's arms seeds in rounds, beginning with its own, or with three.

    Raises:
        UserError: There is no second round.
    """
    further = (n for n in itertools.count(max(study.seeds) + 1) if n != TUNING_SEED)
    first = max(len(study.seeds), _FIRST)
    if most <= first:
        raise UserError(f"study.seeds=auto:{most} must be above {first}, the seeds it begins with")
    seeds = (*study.seeds, *itertools.islice(further, most - len(study.seeds)))
    counts = dict.fromkeys((arm.name for arm in study.arms), first)
    return replace(study, seeds=seeds, looks=rounds(first, most), counts=counts)


def _seeds(given: Any) -> tuple[int, ...]:
    seeds = (*given,) if isinstance(given, list | tuple) else (given,)
    if not seeds or not all(type(seed) is int for seed in seeds):  # true is no seed
        raise UserError(
            f"study.seeds={given} must be whole numbers, such as study.seeds=0,1,2, or the most "
            "that an undecided arm gets, such as study.seeds=auto:20"
        )
    if len(set(seeds)) < len(seeds):
        raise UserError(f"study.seeds={[*seeds]} has one of them twice")
    return seeds


def _with_baseline(study: Study, *, pretrained: bool) -> Study:
    names = [arm.name for arm in study.arms]
    if not names:
        raise UserError(f"study={study.name} has no arms; leave pretrained=true")
    if study.baseline not in names and study.baseline.startswith("pretrained "):
        # The arms that the baseline belongs to were left out; its twin among the others stands in.
        scratch = study.baseline.replace("pretrained ", "scratch ", 1)
        study = replace(study, baseline=scratch)
    if study.baseline in names:
        return study
    if pretrained:
        told = unknown(study.baseline, names, "arm")
        raise UserError(f"study={study.name}: baseline={study.baseline}: {told}")
    return replace(study, baseline=names[0])


def _arms(
    axes: Mapping[str, Mapping[str, Sequence[str]]],
    tune: Sequence[str] | Mapping[str, Sequence[str]],
    *,
    pretrained: bool,
) -> Iterator[StudyArm]:
    """Combine levels; what is tuned is one list for all arms, or one for those of a level."""
    levels = [list(axis.items()) for axis in axes.values()]
    for combination in itertools.product(*levels):
        words = tuple(word for _, own in combination for word in own)
        if pretrained or _PRETRAINED not in words:
            names = tuple(str(name) for name, _ in combination)  # YAML reads 1e-3 as a number
            own = [tune.get(name, ()) for name in names] if isinstance(tune, Mapping) else [tune]
            tuned = tuple(word for words in own for word in words)
            yield StudyArm(" ".join(names), words, names, tuned)
