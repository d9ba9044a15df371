"""Section `caption.captioner.server`."""

from __future__ import annotations

from c2vl.core.params import ParamsModel


class ServerParams(ParamsModel):
    """An OpenAI-compatible server that answers instead of a local model.

    Its address and key belong to this machine: `C2VL_CAPTION_URL` and `C2VL_CAPTION_KEY`.

    Attributes:
        model: the name under which it serves the model.
        revision: which weights these are, as far as you know (a commit, a date). No server can
            prove it; it is part of the key.
    """

    model: str
    revision: str | None = None
