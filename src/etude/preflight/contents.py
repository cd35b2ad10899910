"""What a run reads besides its configuration, by content: data, weights, a user's own code."""

from collections.abc import Mapping, Sequence
from functools import partial

from etude.base.memo import Memo
from etude.config import Config, settings, source_of
from etude.config.build import targets_of
from etude.config.code import source_digest
from etude.config.schema import GROUPS
from etude.train import weights
from etude.train.weights import WeightsSource

_ELSEWHERE = "named "  # a folder of images that is not on this machine goes by its name


class Contents:
    """Digests, each made once; a sweep's jobs mostly read the same."""

    def __init__(self) -> None:
        self._once = Memo()

    def of(self, config: Config, runs: Mapping[str, str]) -> dict[str, str]:
        """Give the digests of what a run reads, by what they are for.

        What everybody has alike is left out: a published data set, data inside a package, the code
        of Étude and PyTorch, whose versions a run's folder records. So is what is not there: a job
        that trains elsewhere may have it, and a later check tells what is missing.

        Args:
            config: The run.
            runs: Runs that are still to be made, as weights, by their absolute folders.

        Raises:
            UserError: A user's own code cannot be found, or the weights are none.
        """
        found: dict[str, str | None] = {"dataset.content": self._data(config)}
        for group in GROUPS:
            targets = sorted({*targets_of(settings(getattr(config, group)))})
            found[f"{group}.code"] = self._code(targets, config)
        found["init.weights"] = weights.content(WeightsSource.of(settings(config.init)), runs)
        return {name: digest for name, digest in found.items() if digest is not None}

    def _data(self, config: Config) -> str | None:
        named = settings(config.dataset).get("name")
        elsewhere = None if named is None else f"{_ELSEWHERE}{named}"
        content = self._once(f"dataset {config.dataset}", lambda: source_of(config).content())
        return content or elsewhere

    def _code(self, targets: Sequence[str], config: Config) -> str | None:
        """Digest what all of a part's targets stand for, those of the parts inside it included."""
        find = partial(source_digest, targets, config.packages)
        return self._once(f"code {targets} {config.packages}", find)


def changed(then: Mapping[str, str], config: Config) -> list[str]:
    """Name what a run would read otherwise today than when it was planned.

    Raises:
        UserError: A user's own code cannot be found, or the weights are none.
    """
    now = Contents().of(config, {})
    known = {name: text for name, text in then.items() if not text.startswith(_ELSEWHERE)}
    return [name for name, digest in known.items() if now.get(name, digest) != digest]
