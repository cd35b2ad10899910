"""What Tab offers of the command `etude`: its options; of keys and choices Hydra knows more."""

import argparse
from collections.abc import Collection, Mapping, Sequence

_KEPT = {"-m", "--multirun"}  # by which Hydra completes otherwise


def offered(
    line: str, parser: argparse.ArgumentParser, refused: Collection[str]
) -> list[str] | None:
    """Give the options, or an option's choices; None where the word being typed is for Hydra.

    Args:
        line: As it was typed so far, the command's name first.
        parser: Of the command.
        refused: Options that it knows in order to refuse them, by their `dest`.
    """
    *before, word = _typed(line)
    known = _options(parser)
    waiting = known.get(before[-1]) if before else None
    if waiting is not None and waiting.nargs is None:
        return [str(choice) for choice in waiting.choices or ()]
    if not word.startswith("-"):
        return None
    right = [name for name, one in known.items() if one.dest not in refused]
    return sorted(name for name in right if name.startswith("--") and name.startswith(word))


def for_hydra(line: str, parser: argparse.ArgumentParser) -> str:
    """Leave out a line's options, of which Hydra's own parser does not know all.

    Args:
        line: As it was typed so far, the command's name first.
        parser: Of the command.
    """
    *before, word = _typed(line)
    known, kept, skip = _options(parser), ["etude"], False
    for one in before:
        option = known.get(one)
        if one in _KEPT or not (skip or one.startswith("-")):
            kept.append(one)
        skip = option is not None and option.nargs is None
    return " ".join([*kept, word])


def _typed(line: str) -> Sequence[str]:
    """Divide a line into its words but the first; the last is empty where none is begun."""
    words = line.split()[1:]
    return words if words and not line[-1].isspace() else [*words, ""]


def _options(parser: argparse.ArgumentParser) -> Mapping[str, argparse.Action]:
    return {name: one for one in parser._actions for name in one.option_strings}
