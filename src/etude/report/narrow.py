"""Tables for terminals of every width: columns that do not fit stand in a further table."""

import os
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from etude.base.text import fold, glued, loose, wrap

_NARROWEST = 16  # characters of the rows' names beside other columns
_EDGES = 2
_GAP = 2


class Shown(NamedTuple):
    """A column's title and its texts.

    Attributes:
        title: Broken between words where its texts are narrower.
        texts: Of the rows.
        left: Whether it is set flush left.
        wraps: Whether its texts may go on in the next line.
    """

    title: str
    texts: Sequence[str]
    left: bool = False
    wraps: bool = False

    @property
    def whole(self) -> int:
        """Its width where no text is broken."""
        lines = (line for text in self.texts for line in text.split("\n"))
        return max(len(one) for one in (*_words(self.title), *lines))

    @property
    def least(self) -> int:
        """Its width where texts that may be broken are, between words."""
        if not self.wraps:
            return self.whole
        return max(len(word) for text in (self.title, *self.texts) for word in _words(text))


def _words(text: str) -> list[str]:
    return re.split("[ \n]", glued(text))


def in_terminal(console: Console) -> bool:
    """Whether somebody reads the lines where they end."""
    return console.is_terminal


def has_width(console: Console) -> bool:
    """Whether tables are to be narrow: in a terminal, or where somebody says how wide it is."""
    return in_terminal(console) or bool(os.environ.get("COLUMNS"))


def wrapped(text: str, console: Console, further: str = "") -> str:
    """Break a sentence where a line of a terminal ends; see `etude.base.text.wrap`."""
    return wrap(text, console.width, further) if in_terminal(console) else text


def in_tables(
    names: Shown,
    others: Sequence[Shown],
    width: int,
    styles: Sequence[str] = (),
    *,
    titled: bool = False,
) -> Iterator[Table]:
    """Lay out a table, or as many as a terminal's width takes; each begins with the rows' names.

    No text is cut, and none broken within a word.

    Args:
        names: What the rows are called.
        others: Columns.
        width: Of the terminal.
        styles: Of the rows, as rich has them.
        titled: Whether a line above says what the first one is; no empty line comes between.
    """
    name = min(names.whole, _NARROWEST)
    room = width - _EDGES - name
    groups: list[list[Shown]] = []
    for column in others:
        taken = sum(_GAP + min(own.least, room - _GAP) for own in (groups or [[]])[-1])
        if not groups or taken + _GAP + column.least > room:
            groups.append([])
        groups[-1].append(column)
    for number, group in enumerate(groups):
        table = _table(names, group, width, styles)
        table.show_edge = number > 0 or not titled
        yield table


def _table(names: Shown, others: Sequence[Shown], width: int, styles: Sequence[str]) -> Table:
    most = width - _EDGES - _GAP - min(names.whole, _NARROWEST)
    widths = [min(column.least, most) if column.wraps else column.least for column in others]
    room = width - _EDGES - sum(_GAP + one for one in widths)
    name = min(names.whole, max(room, _NARROWEST))
    spare = room - name
    for place, column in enumerate(others):
        more = max(0, min(spare, column.whole - widths[place]))
        widths[place], spare = widths[place] + more, spare - more
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for column, one in zip((names, *others), (name, *widths), strict=True):
        side = "left" if column.left else "right"
        table.add_column(escape(_folded(column.title, one)), justify=side, no_wrap=True)
    rows = zip(*(column.texts for column in (names, *others)), strict=True)
    for row, style in zip(rows, styles or [""] * len(names.texts), strict=True):
        first = _folded(row[0], name, "  ")
        cells = (_folded(text, one) for text, one in zip(row[1:], widths, strict=True))
        table.add_row(*map(escape, (first, *cells)), style=style)
    return table


def _folded(text: str, width: int, further: str = "") -> str:
    """Fold a text; further lines are set in, so that rows can be told apart."""
    if max(map(len, text.split("\n"))) <= width:
        return text
    room = max(1, width - len(further))
    lines = [line for own in glued(text).split("\n") for line in fold(own, room).split("\n")]
    return f"\n{further}".join(map(loose, lines))
