"""A table of image files and their classes, as CSV has it, and perhaps of the part each is in."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from etude.base.errors import UserError
from etude.base.text import counted, listed
from etude.data.sources.listing import EXTENSIONS, Listing

FILE = (
    "file",
    "filename",
    "file_name",
    "image",
    "path",
    "image_path",
    "image_id",
    "id",
)
LABEL = ("label", "class", "category", "target", "labels", "class_name", "species", "breed")
PART = ("split", "part", "subset", "set", "partition", "fold")
_SAMPLE = 4096  # characters that tell what stands between the columns


class TableImage(NamedTuple):
    """An image that a table names."""

    path: str


class _Row(NamedTuple):
    line: int
    file: str
    label: str
    part: str


def read_table(root: Path, name: str, names: Mapping[str, Sequence[str]]) -> dict[str, Listing]:
    """List the images that a table names, by part.

    Args:
        root: That the files' names are told from.
        name: The table's file, below the root or anywhere.
        names: What a part may be called.

    Returns:
        Only `train`, with all of them, where the table has no column that says the part.

    Raises:
        UserError: The table, or a file that it names, is missing or says too little.
    """
    table = next((p for p in (root / name, Path(name)) if p.is_file()), None)
    if table is None:
        raise UserError(f"dataset.labels={name}: there is no such file in {root}, nor here")
    rows = _rows(root, table)
    files = _files(root, table, rows)
    _check_told(table, rows)
    numbers = all(row.label.lstrip("-").isdigit() for row in rows)
    key = int if numbers else str  # 2 before 10, as whoever numbered them counts
    classes = tuple(sorted({row.label for row in rows}, key=key))
    found: dict[str, Listing] = {}
    for part in dict.fromkeys(_part(table, row, names) for row in rows):
        own = [i for i, row in enumerate(rows) if _part(table, row, names) == part]
        labels = [classes.index(rows[i].label) for i in own]
        found[part] = Listing(classes, [files[i] for i in own], labels, root)
    if "train" not in found:
        raise UserError(f"{table} has no image to train on: no line says train")
    return found


def _rows(root: Path, table: Path) -> list[_Row]:
    try:
        text = table.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{table} cannot be read as a table in UTF-8 ({error})") from error
    lines = [line for line in csv.reader(text.splitlines(), _dialect(text)) if any(line)]
    if not lines or min(map(len, lines)) < 2:
        raise UserError(f"{table} must have two columns on every line: file and label")
    head = [cell.strip().lower() for cell in lines[0]]
    if _is_there(root, lines[0][0].strip()):
        head, skipped = ["file", "label", "split"][: len(head)], 0
    else:
        skipped = 1
    columns = [next((head.index(n) for n in known if n in head), None) for known in (FILE, LABEL)]
    if None in columns:
        raise UserError(
            f"{table} has the columns {', '.join(head)}; name one of them file, and one label"
        )
    file, label = (column or 0 for column in columns)
    part = next((head.index(n) for n in PART if n in head), None)
    return [
        _Row(
            i + 1, row[file].strip(), row[label].strip(), "" if part is None else row[part].strip()
        )
        for i, row in enumerate(lines)
        if i >= skipped
    ]


def _check_told(table: Path, rows: Sequence[_Row]) -> None:
    """Refuse lines that leave out the class, or the part that others have.

    Raises:
        UserError: There are such lines.
    """
    for kind, way_out in (("label", "name its class"), ("part", "write train, validation or test")):
        empty = [row.line for row in rows if not getattr(row, kind)]
        if empty and (kind == "label" or len(empty) < len(rows)):
            shown = listed([str(line) for line in empty])
            word = "line" if len(empty) == 1 else "lines"
            raise UserError(f"{table}, {word} {shown}: no {kind}; {way_out}, or remove it")


def _dialect(text: str) -> type[csv.Dialect]:
    try:
        return csv.Sniffer().sniff(text[:_SAMPLE], delimiters=",;\t")
    except csv.Error:
        return csv.excel


def _files(root: Path, table: Path, rows: Sequence[_Row]) -> list[TableImage]:
    """Find every file; one may be named without its extension.

    Raises:
        UserError: Some are missing, or come twice.
    """
    found = [_is_there(root, row.file) for row in rows]
    missing = [f"{row.file} (line {row.line})" for row, p in zip(rows, found, strict=True) if not p]
    if missing:
        raise UserError(
            f"not in {root}: {counted(len(missing), 'file')} that {table} names: {listed(missing)}"
        )
    first: dict[str, int] = {}
    for row, path in zip(rows, found, strict=True):
        if (line := first.setdefault(str(path), row.line)) != row.line:
            raise UserError(f"{table} has {row.file} twice, on lines {line} and {row.line}")
    return [TableImage(str(path)) for path in found]


def _is_there(root: Path, name: str) -> Path | None:
    """Find a file, with the extension that its name may lack."""
    if not name:
        return None
    plain = root / name
    if plain.is_file():
        return plain
    return next((p for e in EXTENSIONS if (p := root / f"{name}{e}").is_file()), None)


def _part(table: Path, row: _Row, names: Mapping[str, Sequence[str]]) -> str:
    if not row.part:
        return "train"
    for part, known in names.items():
        if row.part.lower() in known:
            return part
    raise UserError(
        f"{table}, line {row.line}: {row.part} is no part; write train, validation or test"
    )
