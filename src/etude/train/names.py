"""Parameters by patterns of their names, as a shell has them: `["*conv*.weight"]`."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from etude.base.errors import UserError


def fits(name: str, patterns: Sequence[str]) -> bool:
    """Say whether one of the patterns fits a name."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


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
        if not any(fnmatchcase(name, pattern) for name in parameters):
            first = ", ".join(list(parameters)[:6])
            raise UserError(
                f"{key}: {pattern} fits no parameter's name; the network has {first}, …"
            )
    return {name: value for name, value in parameters.items() if fits(name, patterns)}
