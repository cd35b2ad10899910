"""Which images of a folder train, validate and test, however people have laid it out.

| in the folder | train | validation | test |
|---|---|---|---|
| train, test | train | cut by `validation_split` | test |
| train, val, test | train | val | test |
| train, val | the rest of train | val | cut from train |
| classes alone, or a table without parts | the rest | cut by `validation_split` | cut |
| a table with parts | as it says | as it says, else cut | as it says, else cut |

What is cut for the test keeps every class's share, and follows from `split_seed`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from etude.base.errors import UserError
from etude.base.lazy import np
from etude.base.nearest import unknown
from etude.base.text import counted, listed
from etude.data.sources.listing import Listing, class_folders, list_images
from etude.data.sources.table import read_table
from etude.data.splits import split

log = logging.getLogger(__name__)

# The names that a part's folder has where none is given, without regard to capitals.
NAMES = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}


class Division(NamedTuple):
    """A data set's parts; `validation` is None where it has none of its own."""

    train: Listing
    test: Listing
    validation: Listing | None = None

    def parts(self) -> dict[str, Listing]:
        """Give the parts that there are, by name."""
        found = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: part for name, part in found.items() if part is not None}


class Layout(NamedTuple):
    """Where a folder's parts are.

    Attributes:
        root: The folder.
        train: The training part's folder below it; `train` may have another of its `NAMES`.
        validation: The validation part's; None finds it by its name, if there is one.
        test: The test part's; where `test` is not there, the test is cut from the training images.
        labels: A table of files and classes, instead of folders; None for folders.
        test_fraction: What is cut for the test where the folder has no such part.
        seed: Decides what is cut.
        classes: Those that are taken; None for all.
    """

    root: Path
    train: str
    validation: str | None
    test: str
    labels: str | None
    test_fraction: float
    seed: int
    classes: Sequence[str] | None = None

    def divide(self) -> Division:
        """List the images of each part.

        Raises:
            UserError: A folder or a file is missing, or the parts have other classes.
        """
        if not self.root.is_dir():
            sought = "" if self.root.is_absolute() else f" (sought as {self.root.absolute()})"
            raise UserError(
                f"dataset.root={self.root} is no folder{sought}; give one that has images"
            )
        self._check_apart()
        parts = self._chosen(self._listed())
        train, validation = parts["train"], parts.get("validation")
        own = None if validation is None else _as_in(train, validation)
        if own is not None:
            _tell_lacking(own.folder, "validate", *sorted(train.present() - own.present()))
        if "test" in parts:
            _check_classes(self.root, train, parts["test"])
            return Division(train, _as_in(train, parts["test"]), own)
        rest, test = self._cut(train)
        _tell_lacking(self.root, "test", *sorted(train.present() - test.present()))
        return Division(rest, test, own)

    def _chosen(self, parts: dict[str, Listing]) -> dict[str, Listing]:
        """Leave out the classes that were not asked for.

        Raises:
            UserError: There is no such class, or one alone.
        """
        if self.classes is None:
            return parts
        there = parts["train"].classes
        for name in self.classes:
            if name in {c for part in parts.values() for c in part.classes} - {*there}:
                raise UserError(f"dataset.classes: {name}: there are no images of it to train on")
            if name not in there:
                raise UserError(f"dataset.classes: {name}: {unknown(name, there, 'class')}")
        told = ",".join(self.classes)
        if len(set(self.classes)) < len(self.classes):
            raise UserError(f"dataset.classes=[{told}]: a class comes twice; leave one out")
        if len(self.classes) < 2:
            raise UserError(f"dataset.classes=[{told}]: give two classes or more, or null for all")
        return {part: listing.of(self.classes) for part, listing in parts.items()}

    def _check_apart(self) -> None:
        """Refuse one folder for two parts."""
        for part in ("test", "validation"):
            name: str | None = getattr(self, part)
            if (
                name is not None
                and (self.root / self.train).resolve() == (self.root / name).resolve()
            ):
                raise UserError(
                    f"dataset.{part}={name} are the images of dataset.train={self.train}: a result "
                    "on what was learned says nothing; give each a folder of its own"
                )

    def _listed(self) -> dict[str, Listing]:
        """List the parts that the folder has by itself."""
        if self.labels is not None:
            return read_table(self.root, self.labels, NAMES)
        folders = self._folders()
        if "train" not in folders:
            return {"train": list_images(self.root, self.classes)}
        return {name: list_images(folder, self.classes) for name, folder in folders.items()}

    def _folders(self) -> dict[str, Path]:
        """Find the parts' folders; none at all where the folder's own are classes.

        Raises:
            UserError: One that was asked for is not there.
        """
        there = {name.lower(): name for name in class_folders(self.root)}
        found: dict[str, Path] = {}
        for part in ("train", "test", "validation"):
            wanted: str | None = getattr(self, part)
            usual = wanted is None or wanted == part
            if wanted is not None and (self.root / wanted).is_dir():
                found[part] = self.root / wanted
            elif not usual:
                raise UserError(self._missing(part, str(wanted), there.values()))
            elif named := [there[name] for name in NAMES[part] if name in there]:
                folder = self.root / named[0]
                if folder not in found.values():  # dataset.test=val may have taken it
                    found[part] = folder
        if "train" not in found and found:
            raise UserError(self._missing("train", self.train, there.values()))
        return found

    def _missing(self, part: str, wanted: str, there: Iterable[str]) -> str:
        names = ", ".join(sorted(there)) or "no folder at all"
        return (
            f"dataset.root has no folder {self.root / wanted}; it has {names}: "
            f"set dataset.{part}=<one of them>, or put <class>/<image> files into {wanted}"
        )

    def _cut(self, whole: Listing) -> tuple[Listing, Listing]:
        """Keep the rest, and give what is tested on."""
        labels = np.array(whole.labels, dtype=np.int64)
        try:
            kept, held = split(
                labels, policy="stratified", fraction=self.test_fraction, seed=self.seed
            )
        except UserError as error:
            raise UserError(
                f"dataset.test_fraction={self.test_fraction} of {counted(len(labels), 'image')} "
                "leaves no "
                "image to train on or none to test; choose another fraction, or add images"
            ) from error
        return whole.some(kept.tolist()), whole.some([] if held is None else held.tolist())


@cache  # once for each folder
def _tell_lacking(folder: Path, purpose: str, *classes: str) -> None:
    """Name the classes of which there is nothing to validate or test by."""
    if classes:
        word = "class" if len(classes) == 1 else "classes"
        log.warning("%s: no image to %s %s %s by", folder, purpose, word, listed(classes))


def _check_classes(root: Path, train: Listing, test: Listing) -> None:
    """Refuse parts with other classes, and name those.

    Raises:
        UserError: They differ.
    """
    apart = train.folder != test.folder  # those of a table have one
    learned = train.folder.name if apart else "train"
    tested = test.folder.name if apart else "test"
    told = [
        _only(test.present() - train.present(), tested, learned),
        _only(train.present() - test.present(), learned, tested),
    ]
    if any(told):
        raise UserError(
            f"dataset.root={root}: {', '.join(filter(None, told))}; both must have the same classes"
        )


def _only(names: Iterable[str], has: str, lacks: str) -> str:
    """Name the classes that only one part has; nothing of none."""
    found = sorted(names)
    if not found:
        return ""
    shown = listed(found)
    word = f"class {shown} is" if len(found) == 1 else f"classes {shown} are"
    return f"{word} in {has} but not in {lacks}"


def _as_in(train: Listing, other: Listing) -> Listing:
    """Give another part the training part's labels; it may lack classes."""
    if other.classes == train.classes:
        return other
    strange = sorted(set(other.classes) - set(train.classes))
    if strange:
        raise UserError(
            f"{other.folder}: class {strange[0]} is not in {train.folder.name}, so that nothing "
            "could learn it; remove it, or put images of it there"
        )
    labels = [train.classes.index(name) for name in other.classes]
    return Listing(train.classes, other.images, [labels[i] for i in other.labels], other.folder)
