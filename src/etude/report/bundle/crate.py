"""The metadata of a bundle: RO-Crate 1.1, with an action for each run.

https://w3id.org/ro/crate/1.1, and https://w3id.org/ro/wfrun/process/0.5 for the actions: which
program made what, from what, when, and whether it came to its end.
"""

import datetime
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from etude.report.bundle.credit import Credit
from etude.report.bundle.facts import Hardware, began_and_ended, data, digest_of, hardware_of
from etude.report.bundle.gather import RUNS, BundledRun, Gathered
from etude.report.bundle.software import code
from etude.report.results import Results
from etude.report.words import listed
from etude.runs.names import CONFIG, CRATE
from etude.runs.state import RunState

_SPEC, _PROFILE = "https://w3id.org/ro/crate/1.1", "https://w3id.org/ro/wfrun/process/0.5"
_LICENSES, _OURS = "https://spdx.org/licenses/", "MIT"
_NO_LICENSE = "not stated: ask those who made the results"
_FORMATS = {"md": "text/markdown", "sh": "application/x-sh", "txt": "text/plain",
            "patch": "text/x-diff", "json": "application/json", "csv": "text/csv",
            "yaml": "application/yaml"}  # fmt: skip
_STATUS = "http://schema.org/{}ActionStatus"
_STATES = {RunState.FINISHED: "Completed", RunState.PRUNED: "Completed", RunState.RUNNING: "Active"}

Entity = Mapping[str, Any]


@dataclass(frozen=True)
class _Known:
    """What many entities are linked to, by what they are known by: their identifiers."""

    authors: Mapping[str, Entity]
    programs: Mapping[tuple[str, str], str]
    machines: Mapping[Hardware, str]


def crate(
    results: Results,
    gathered: Gathered,
    files: Mapping[str, str],
    credit: Credit,
    today: datetime.date,
) -> Mapping[str, Any]:
    """Describe a bundle.

    Args:
        results: What the runs came to.
        gathered: The runs.
        files: What the bundle has beside the runs, by name, in words.
        credit: Who made the results.
        today: When it is written.
    """
    programs = dict.fromkeys(map(_made_by, gathered.runs))
    machines = dict.fromkeys(hardware_of(one.run) for one in gathered.runs)
    known = _Known(
        authors={one["@id"]: one for one in _authors(credit)},
        programs={made_by: f"#etude-{number}" for number, made_by in enumerate(programs, 1)},
        machines={machine: f"#machine-{number}" for number, machine in enumerate(machines, 1)},
    )
    licenses = dict.fromkeys(filter(None, (_OURS, credit.license)))
    graph = [
        {"@id": CRATE, "@type": "CreativeWork", "about": _to("./"), "conformsTo": _to(_SPEC)},
        {**_root(results, gathered, known), "datePublished": today.isoformat(),
         "license": _to(_LICENSES + credit.license) if credit.license else _NO_LICENSE,
         "hasPart": [*map(_to, map(_path, files)), *(_to(_folder(one)) for one in gathered.runs)]},
        {"@id": _PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"},
        *(_file(name, told) for name, told in files.items()),
        *known.authors.values(), *map(_license, licenses),
        *_conditions(gathered, known),
        *(entity for one in gathered.runs for entity in _software(one, known)),
        *(entity for one in gathered.runs for entity in _run(one, gathered, known)),
    ]  # fmt: skip
    once = {entity["@id"]: _without_gaps(entity) for entity in graph}
    return {"@context": f"{_SPEC}/context", "@graph": list(once.values())}


def _root(results: Results, gathered: Gathered, known: _Known) -> Entity:
    """Describe the crate as a whole."""
    names, plan = listed(results.names), results.study
    return {
        "@id": "./",
        "@type": "Dataset",
        "name": names,
        "description": plan["question"] if plan else f"How do the arms of {names} compare?",
        "author": [*map(_to, known.authors)],
        "conformsTo": _to(_PROFILE),
        "mentions": [*map(_to, map(_action, gathered.runs)), *map(_to, known.machines.values())],
    }


def _authors(credit: Credit) -> Iterator[Entity]:
    for number, author in enumerate(credit.authors, 1):
        yield {
            "@id": author.identifier or f"#author-{number}",
            "@type": "Person" if author.is_person else "Organization",
            "name": author.name,
            "affiliation": author.affiliation,
        }


def _license(name: str) -> Entity:
    return {"@id": _LICENSES + name, "@type": "CreativeWork", "name": name}


def _software(bundled: BundledRun, known: _Known) -> Iterator[Entity]:
    """Describe Étude as a run had it, and what it stands on."""
    versions = bundled.run.environment.get("versions", {})
    libraries = {
        f"#{quote(name)}-{quote(version)}": (name, version)
        for name, version in versions.items()
        if name != "etude"
    }
    for identifier, (name, version) in libraries.items():
        yield {"@id": identifier, "@type": "SoftwareApplication", "name": name,
               "softwareVersion": version}  # fmt: skip
    yield {
        "@id": known.programs[_made_by(bundled)],
        "@type": "SoftwareApplication",
        "name": "Étude",
        "description": code(bundled.run.environment, bundled.patch),
        "softwareVersion": versions.get("etude"),
        "license": _to(_LICENSES + _OURS),
        "softwareRequirements": [*map(_to, libraries)],
    }


def _conditions(gathered: Gathered, known: _Known) -> Iterator[Entity]:
    """Describe the data, which are not in the bundle, and the machines."""
    for digest, told in data([one.run for one in gathered.runs]).items():
        yield {
            "@id": _data(digest),
            "@type": "Dataset",
            "name": told["name"],
            "identifier": digest,
            "description": "images and labels as they were read, known by a digest of them",
        }
    for machine, identifier in known.machines.items():
        yield {"@id": identifier, "@type": "IndividualProduct", "name": machine.told()}


def _run(bundled: BundledRun, gathered: Gathered, known: _Known) -> Iterator[Entity]:
    """Describe a run: the copy of its files, and the action that it was."""
    run, digest = bundled.run, digest_of(bundled.run)
    config = f"{bundled.place}/{CONFIG}"
    configs = [_file(config, "the configuration as resolved")] if config in gathered.copies else []
    yield from configs
    yield {
        "@id": _folder(bundled),
        "@type": "Dataset",
        "name": run.folder.name,
        "description": "configuration, words, environment, summary, and the metrics of each epoch",
        "hasPart": [_to(one["@id"]) for one in configs],
    }
    began, ended = began_and_ended(run) or (None, None)
    yield {
        "@id": _action(bundled),
        "@type": "CreateAction",
        "name": f"{bundled.arm}, seed {run.seed}",
        "description": f"a run on {hardware_of(run).told()}",
        "instrument": _to(known.programs[_made_by(bundled)]),
        "object": [_to(one["@id"]) for one in configs] + ([_to(_data(digest))] if digest else []),
        "result": _to(_folder(bundled)),
        "agent": [*map(_to, known.authors)],
        "actionStatus": _to(_STATUS.format(_STATES.get(run.state, "Failed"))),
        "startTime": began,
        "endTime": ended,
        "error": run.summary.get("error"),
    }


def _file(name: str, told: str) -> Entity:
    form = _FORMATS[name.rpartition(".")[2]]
    return {"@id": _path(name), "@type": "File", "name": name, "description": told,
            "encodingFormat": form}  # fmt: skip


def _made_by(bundled: BundledRun) -> tuple[str, str]:
    """Know a program by its versions and its code."""
    return bundled.lock, code(bundled.run.environment, bundled.patch)


def _folder(bundled: BundledRun) -> str:
    return _path(f"{bundled.place}/")


def _action(bundled: BundledRun) -> str:
    return f"#{_path(bundled.place.removeprefix(f'{RUNS}/'))}"


def _path(name: str) -> str:
    return quote(os.fsencode(name))


def _data(digest: str) -> str:
    return f"#data-{quote(digest)}"


def _to(identifier: str) -> Mapping[str, str]:
    return {"@id": identifier}


def _without_gaps(entity: Entity) -> Entity:
    return {key: value for key, value in entity.items() if value not in (None, "", [])}
