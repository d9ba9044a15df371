"""What stands for an image in a captioner's prompt: each processor has its own token for it."""

from __future__ import annotations

from typing import Any

IMAGE = "<image>"  # in `caption.captioner.template`
# These processors put the tokens of an image before the words they get.
PUT_IT_THEMSELVES = {
    "Blip2Processor",
    "Florence2Processor",
    "FuyuProcessor",
    "InstructBlipProcessor",
    "Kosmos2_5Processor",
}


def with_image_mark(template: str, processor: Any = None) -> str:
    """Put the processor's own token wherever `<image>` stands in `template`.

    Some processors put it there themselves. Others have no such token, because their model puts the
    image before all words. For both, `<image>` is only removed.

    Args:
        template: with `<image>` for each image.
        processor: of images and text; None leaves the template as it is.
    """
    if processor is None:
        return template
    if type(processor).__name__ in PUT_IT_THEMSELVES:
        return template.replace(IMAGE, "")
    own = getattr(processor, "image_placeholder_token", None)
    own = own or getattr(processor, "image_token", None)
    if own is None:
        own = IMAGE if IMAGE in processor.tokenizer.get_vocab() else ""
    return template.replace(IMAGE, str(own))
