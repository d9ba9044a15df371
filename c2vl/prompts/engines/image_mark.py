"""What stands for an image in a captioner's prompt: each processor has its own token for it."""

from __future__ import annotations

from typing import Any

IMAGE = "<image>"  # in `caption.captioner.template`


def with_image_mark(template: str, processor: Any = None) -> str:
    """Put the processor's own token wherever `<image>` stands in `template`.

    A processor without such a token, of a model that puts the image before all words, gets the
    words alone.

    Args:
        template: with `<image>` for each image.
        processor: of images and text; None leaves the template as it is.
    """
    if processor is None:
        return template
    own = getattr(processor, "image_placeholder_token", None)
    own = own or getattr(processor, "image_token", None)
    if own is None and IMAGE not in processor.tokenizer.get_vocab():
        own = ""
    return template if own is None else template.replace(IMAGE, str(own))
