"""The report's parts that are no Python: templates of the page and its charts, styles, a script."""

from functools import cache
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from etude.report.scale import tick_label
from etude.report.words import number


def asset(name: str) -> Markup:
    """Give a file's text, to stand in a template as it is."""
    return Markup(resources.files(__name__).joinpath(name).read_text(encoding="utf-8"))  # noqa: S704


def render(name: str, **context: object) -> Markup:
    """Fill in a template; whatever text it is given is escaped."""
    return Markup(_environment().get_template(name).render(context))  # noqa: S704


@cache
def _environment() -> Environment:
    found = Environment(
        loader=PackageLoader("etude.report", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"number": number, "tick": tick_label}
    return found
