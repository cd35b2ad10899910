"""Who made a study's results, and on what terms, as a `CITATION.cff` says."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Author(NamedTuple):
    """One of those who are to be credited.

    Attributes:
        name: As it is written.
        is_person: Or an organisation.
        identifier: The address that `orcid` or `website` gives; empty without one.
        affiliation: Empty likewise.
    """

    name: str
    is_person: bool
    identifier: str = ""
    affiliation: str = ""


class Credit(NamedTuple):
    """Whom to credit; nobody where nobody has said, and without a license likewise."""

    authors: Sequence[Author] = ()
    license: str = ""


NOBODY = Credit()


def credit_of(citation: Any) -> Credit:
    """Read what a citation file says; what is not as the format has it is left out."""
    told = citation if isinstance(citation, Mapping) else {}
    listed = told.get("authors")
    several = listed if isinstance(listed, list) else []
    authors = [_author(one) for one in several if isinstance(one, Mapping)]
    license_ = told.get("license")
    first = license_[0] if isinstance(license_, list) and license_ else license_
    return Credit([one for one in authors if one.name], first if isinstance(first, str) else "")


def _author(told: Mapping[str, Any]) -> Author:
    parts = (told.get(key) for key in ("given-names", "name-particle", "family-names"))
    person = " ".join(str(part) for part in parts if part)
    identifier = told.get("orcid") or told.get("website") or ""
    affiliation = str(told.get("affiliation") or "")
    return Author(person or str(told.get("name") or ""), bool(person), str(identifier), affiliation)
