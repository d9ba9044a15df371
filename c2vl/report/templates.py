"""The templates of HTML pages, with the tables and plots that they share."""

from __future__ import annotations

from importlib import resources

import jinja2
from markupsafe import Markup

SHARED = ("macros.html", "style.css")


def template(name: str) -> jinja2.Template:
    """A template of `c2vl/report/data`. It escapes all text, and an undefined name is an error."""
    folder = resources.files("c2vl.report") / "data"
    loader = jinja2.DictLoader(
        {file: (folder / file).read_text(encoding="utf-8") for file in (name, *SHARED)}
    )
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["code"] = _code
    environment.trim_blocks = environment.lstrip_blocks = True
    return environment.get_template(name)


def _code(sentence: str) -> Markup:
    """`sentence` escaped, with the parts between backticks as `<code>`."""
    pieces = enumerate(sentence.split("`"))
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if place % 2 else piece for place, piece in pieces
    )
