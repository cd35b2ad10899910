"""Parameters by patterns of their names, as a shell has them: `["*conv*.weight"]`."""

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from torch import nn

from etude.base.errors import UserError
from etude.base.nearest import did_you_mean

_NEAR = 0.6  # of a layer's name that may have been meant
_SHOWN = 12  # layers of a network that has more


def fits(name: str, patterns: Sequence[str]) -> bool:
    """Say whether one of the patterns fits a name."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def fits_any(pattern: str, names: Collection[str]) -> bool:
    """Say whether a pattern fits one of some names."""
    return any(fnmatchcase(name, pattern) for name in names)


def named(model: nn.Module, patterns: Sequence[str], key: str) -> dict[str, nn.Parameter]:
    """Give the parameters, by name, that one of the patterns fits.

    Args:
        model: Its order of parameters is kept.
        patterns: As a shell has them, capitals told from others.
        key: Where they stand in the configuration.

    Raises:
        UserError: A pattern fits no parameter.
    """
    parameters = dict(model.named_parameters())
    for pattern in patterns:
        if not fits_any(pattern, parameters):
            raise UserError(
                f"{key}: {pattern} fits no parameter's name; {_instead(pattern, parameters)}"
            )
    return {name: value for name, value in parameters.items() if fits(name, patterns)}


def _instead(pattern: str, parameters: Collection[str]) -> str:
    """Say which pattern is near that fits, or else what the network's layers are called."""
    layers = list(dict.fromkeys(name.rpartition(".")[0] or name for name in parameters))
    stem, dot, rest = pattern.rpartition(".")
    if meant := _meant(stem or pattern, layers):
        own = [name for name in parameters if dot and fnmatchcase(name, f"{meant}.*")]
        ends = [name.rpartition(".")[2] for name in own]
        if not fits_any(rest, ends):
            rest = next(iter(get_close_matches(rest, ends, n=1, cutoff=_NEAR)), "*")
        return did_you_mean([f"{meant}.{rest}"])
    parts = list(dict.fromkeys(name.partition(".")[0] for name in layers))
    shown = parts if len(parts) > 1 else layers
    if len(shown) > _SHOWN:
        shown = [*shown[: _SHOWN // 2], "…", *shown[-_SHOWN // 2 :]]
    return f"the network's layers are {', '.join(shown)}, and a pattern is such as {shown[-1]}.*"


def _meant(stem: str, layers: Sequence[str]) -> str | None:
    """Find the layer that is nearest by its whole name, its first part or its last."""
    names = {name.partition(".")[0]: name.partition(".")[0] for name in layers}
    for layer in layers:
        last = layer.rpartition(".")[2]
        names[last] = f"*.{last}" if last in names and names[last] != layer else layer
    names |= {layer: layer for layer in layers}
    near = get_close_matches(stem, names, n=1, cutoff=_NEAR)
    return names[near[0]] if near else None
