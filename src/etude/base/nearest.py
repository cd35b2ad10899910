"""What there is in place of a word that nothing knows: the nearest right ones."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def unknown(word: str, words: Iterable[str], what: str = "key") -> str:
    """Say that there is no such key or choice, with the nearest right ones, or else all of them.

    Args:
        word: What was given.
        words: What there is, written alike.
        what: What it is called.
    """
    words = sorted(set(words) - {word})
    parent = word.rpartition(".")[0]
    siblings = [other for other in words if other.rpartition(".")[0] == parent]
    if meant := _meant(word, words, siblings):
        return f"there is no such {what}; {did_you_mean(meant)}"
    siblings = [other for other in siblings if not other.endswith("_target_")]
    return f"there is no such {what}; " + (
        f"there are {', '.join(siblings)}" if siblings else "see etude --help"
    )


def did_you_mean(words: Iterable[str]) -> str:
    """Ask for the right one of some words."""
    return f"did you mean {' or '.join(map(repr, words))}?"


def _meant(word: str, words: Sequence[str], siblings: Sequence[str]) -> list[str]:
    """Find the words that are nearest: by the same name elsewhere, then by its spelling."""
    name = word.rpartition(".")[2]
    if elsewhere := [other for other in words if other.rpartition(".")[2] == name]:
        return elsewhere
    # Compared by their last part: a long path that is right would make any name look near.
    names = {other.rpartition(".")[2]: other for other in siblings}
    if near := get_close_matches(name, names, n=1, cutoff=0.6):
        return [names[near[0]]]
    if longer := [other for other in siblings if other.startswith(word)]:
        return longer[:1]
    if not siblings:  # what stands before the dot is wrong
        return get_close_matches(word, words, n=1, cutoff=0.75)
    last = [other.rpartition(".")[2] for other in words]
    near = get_close_matches(name, last, n=1, cutoff=0.8)
    return [other for other in words if other.rpartition(".")[2] in near]
