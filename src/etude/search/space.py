"""The space of a search, from the words that Hydra's users write: interval, range, choice, glob."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# A space is written in Hydra's words, and read by its parser.
from hydra.core.config_loader import ConfigLoader  # noqa: TID251
from hydra.core.override_parser.overrides_parser import OverridesParser  # noqa: TID251
from hydra.core.override_parser.types import (  # noqa: TID251
    ChoiceSweep,
    IntervalSweep,
    Override,
    RangeSweep,
)

from etude.base.errors import UserError
from etude.search.axis import Axis, Choices, Numbers

Params = dict[str, Any]
_FEW = 64  # combinations: a second or two to compose and check


@dataclass(frozen=True)
class Space:
    """What is searched over, between the words that all jobs share, in the command's order."""

    items: tuple[str | Axis, ...]

    @property
    def axes(self) -> dict[str, Axis]:
        """Give what is searched over, by key without its +."""
        return {item.key.lstrip("+"): item for item in self.items if not isinstance(item, str)}

    @property
    def shared(self) -> list[str]:
        """Give the words that all jobs share."""
        return [item for item in self.items if isinstance(item, str)]

    @property
    def size(self) -> int | None:
        """Count the combinations; None if there is no end of them."""
        levels = [axis.levels() for axis in self.axes.values()]
        return None if None in levels else math.prod(len(level or ()) for level in levels)

    def words(self, params: Mapping[str, Any]) -> list[str]:
        """Give the words of the job with these parameters."""
        return [
            item if isinstance(item, str) else item.word(params[item.key.lstrip("+")])
            for item in self.items
        ]

    @property
    def names(self) -> dict[str, str]:
        """Give each key without its group, where what is left says enough."""
        ends = {key: key.rpartition(".")[2] for key in self.axes}
        return ends if len(set(ends.values())) == len(ends) else {key: key for key in ends}

    def varied(self, params: Mapping[str, Any]) -> list[str]:
        """Give those of a job's words that are searched over."""
        return [axis.word(params[key]) for key, axis in self.axes.items()]

    def short(self, params: Mapping[str, Any]) -> dict[str, str]:
        """Give a job's parameters for people, numbers in few digits, by the keys' names."""
        words = (word.partition("=")[2] for word in self.varied(params))
        return dict(zip(self.names.values(), map(_short, words), strict=True))

    def grid(self) -> Iterator[Params]:
        """Give all combinations, the last key changing fastest; there must be an end of them."""
        for values in itertools.product(*(axis.levels() or () for axis in self.axes.values())):
            yield dict(zip(self.axes, values, strict=True))

    def samples(self) -> Iterator[Params]:
        """Give the combinations to try before a search begins: all of a few, else the corners."""
        few = self.size is not None and self.size <= _FEW
        yield from self.grid() if few else self.corners()

    def corners(self) -> Iterator[Params]:
        """Give a few combinations that between them hold every end and every choice."""
        ends = {key: list(axis.ends) for key, axis in self.axes.items()}
        for index in range(max(map(len, ends.values()))):
            yield {key: values[min(index, len(values) - 1)] for key, values in ends.items()}

    def describe(self) -> dict[str, str]:
        """Put each axis into words that are equal where it is."""
        return {key: repr(axis) for key, axis in self.axes.items()}


def _short(word: str) -> str:
    try:
        number = float(word)
    except ValueError:
        return word
    return f"{number:.4g}" if "." in word or "e" in word else word


def check_seeds(space: Space, seeds: Sequence[int] | None) -> None:
    """Refuse a seed beside those of a search.

    Raises:
        UserError: There is one.
    """
    words = [*space.shared, *(f"{key}=…" for key in space.axes)]
    for word in words if seeds else ():
        if word.lstrip("+").partition("=")[0] == "seed":
            raise UserError(f"{word}: the seeds are those of hydra.sweeper.seeds; leave it out")


def check_sampler(space: Space, sampler: str) -> None:
    """Refuse a space that a sampler cannot work in.

    Raises:
        UserError: There is no end of a grid, or CMA-ES has too little to do.
    """
    endless = [key for key, axis in space.axes.items() if axis.levels() is None]
    if sampler == "grid" and endless:
        key = endless[0]
        raise UserError(
            f"hydra.sweeper.sampler=grid has no end over {key}; write {key}=range(…) or "
            "choice(…), or take another sampler"
        )
    if sampler == "cmaes" and sum(isinstance(axis, Numbers) for axis in space.axes.values()) < 2:
        raise UserError("hydra.sweeper.sampler=cmaes needs two intervals or ranges; tpe does not")


def parse(
    words: Sequence[str], params: Mapping[str, Any] | None, config_loader: ConfigLoader
) -> Space:
    """Read the space of a command.

    Args:
        words: Its overrides, without Hydra's own.
        params: The node `hydra.sweeper.params`: more of them, for keys that the words do not name.
        config_loader: Knows a group's options, for `glob`.

    Raises:
        UserError: There is nothing to search over, or no numbers where there should be some.
        HydraException: A word cannot be read.
    """
    lines = [*(f"{key}={value}" for key, value in _flat(params or {}, "")), *words]
    parser = OverridesParser.create(config_loader=config_loader)
    items: dict[str, str | Axis] = {}
    for override in parser.parse_overrides(lines):
        # A later word for a key takes the place of an earlier one, as everywhere in Hydra.
        items[override.get_key_element().lstrip("+")] = _item(override)
    space = Space(tuple(items.values()))
    if not space.axes:
        raise UserError(
            "hydra/sweeper=search has nothing to search over; give a key several values, such as "
            "optimizer.lr='tag(log,interval(1e-4,1e-1))' or train.batch_size=16,32"
        )
    return space


def _flat(params: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Join the names that dots on the command line have taken apart."""
    for key, value in params.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _item(override: Override) -> str | Axis:
    if not override.is_sweep_override():
        return str(override.input_line)
    sweep = override.value()
    tags = getattr(sweep, "tags", set[str]())
    if tags - {"log"}:
        word = ", ".join(sorted(tags - {"log"}))
        raise UserError(f"{override.input_line}: the tag {word} means nothing here; there is log")
    if isinstance(sweep, IntervalSweep):
        axis: Axis = _interval(override, sweep)
    elif isinstance(sweep, RangeSweep):
        axis = _range(override, sweep)
    else:
        if tags:
            raise UserError(f"{override.input_line}: choices have no order, so none by ratios")
        if isinstance(sweep, ChoiceSweep):
            # The space must be the same in each process.
            sweep.shuffle = False
        axis = Choices(override.get_key_element(), tuple(override.sweep_string_iterator()))
    if not axis.ends:
        raise UserError(f"{override.input_line}: there is nothing to choose from")
    return axis


def _interval(override: Override, sweep: IntervalSweep) -> Numbers:
    low, high = sweep.start, sweep.end
    if low is None or high is None or not low < high:
        raise UserError(f"{override.input_line}: the first end must be below the second")
    whole = isinstance(low, int) and isinstance(high, int)  # written int(interval(…))
    return _checked(
        override,
        Numbers(
            override.get_key_element(),
            low,
            high,
            log="log" in sweep.tags,
            whole=whole,
            step=1 if whole else None,
        ),
    )


def _range(override: Override, sweep: RangeSweep) -> Numbers:
    values: list[float] = sorted(
        value if isinstance(value, int) else round(value, 12) for value in sweep.range()
    )
    if not values:
        raise UserError(f"{override.input_line}: there is nothing in this range")
    low, high = values[0], values[-1]
    whole = all(isinstance(value, int) for value in values)
    numbers = Numbers(
        override.get_key_element(),
        low,
        high,
        log="log" in sweep.tags,
        whole=whole,
        step=abs(sweep.step),
    )
    return _checked(override, numbers)


def _checked(override: Override, numbers: Numbers) -> Numbers:
    """Refuse what Optuna would refuse less kindly."""
    if numbers.log and numbers.low <= 0:
        raise UserError(f"{override.input_line}: with tag log the numbers must be above 0")
    if numbers.log and numbers.step not in {None, 1}:
        raise UserError(f"{override.input_line}: with tag log a step must be 1")
    if numbers.log and numbers.step and not numbers.whole:
        raise UserError(f"{override.input_line}: with tag log write an interval")
    return numbers
