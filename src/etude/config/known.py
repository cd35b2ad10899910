"""The nearest right word for a wrong one."""

import difflib
from collections.abc import Iterable


def unknown(word: str, words: Iterable[str], what: str = "key") -> str:
    """Say that there is no such key or choice, with the nearest right one, or else all of them.

    Args:
        word: What was given.
        words: What there is, written alike.
        what: What it is called.
    """
    words = sorted(set(words))
    parent, _, name = word.rpartition(".")
    siblings = [other for other in words if other.rpartition(".")[0] == parent]
    # Compared by their last part: a long path that is right would make any name look near.
    names = {other.rpartition(".")[2]: other for other in siblings}
    matches = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    matches = [names[match] for match in matches] or [w for w in siblings if w.startswith(word)]
    matches = matches or difflib.get_close_matches(word, words, n=1, cutoff=0.75)
    hint = f"; did you mean '{matches[0]}'?" if matches else f"; there are {', '.join(siblings)}"
    return f"there is no such {what}{hint if siblings or matches else '; see etude --help'}"
