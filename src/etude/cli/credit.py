"""Whom a report's bundle credits: those whom the working folder's `CITATION.cff` names."""

from pathlib import Path

from etude.base.lazy import yaml
from etude.cli.terminal import remark
from etude.report.bundle.credit import NOBODY, Credit, credit_of

_FILE = Path("CITATION.cff")


def credit() -> Credit:
    """Read the file; nobody is credited without one, and after a word where it is damaged."""
    if not _FILE.exists():
        return NOBODY
    try:
        return credit_of(yaml.safe_load(_FILE.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        remark(f"{_FILE} cannot be read, and the bundle names nobody: {str(error).splitlines()[0]}")
        return NOBODY
