"""The model card of an exported folder: what it is, where it comes from, how to use it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).with_name("model_card.md.jinja")


def model_card(config: Mapping[str, Any]) -> str:
    """Render the card, Markdown with a YAML head, from the content of `config.json`."""
    from jinja2 import Environment, StrictUndefined

    template = Environment(undefined=StrictUndefined, keep_trailing_newline=True).from_string(
        TEMPLATE.read_text("utf-8")
    )
    return template.render(config).rstrip() + "\n"
