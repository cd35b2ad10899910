"""The page's parts that are no Python: its frame, its styles, its script."""

from importlib import resources


def asset(name: str) -> str:
    """Give a file's text."""
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")
