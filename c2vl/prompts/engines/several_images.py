"""Refuse a captioner that does not take the crops of a clip in one question, before the first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from c2vl.core.errors import UserError
from c2vl.prompts.engines.batching import out_of_memory
from c2vl.prompts.engines.clip_inputs import Clip, QuestionPreparer, largest_clip, sample_clip
from c2vl.prompts.engines.engine_params import torch_dtype
from c2vl.prompts.engines.processors import OFFLINE, load_processor

if TYPE_CHECKING:
    from c2vl.prompts.engines.captioner import CaptionerParams
    from c2vl.prompts.engines.model_inputs import Inputs

INSTEAD = (
    "set `caption.per: frame`, or take a model that was trained on several images, such as "
    "Qwen3-VL, SmolVLM2 or LLaVA-Interleave"
)


def require_clips(params: CaptionerParams, images: int) -> None:
    """Check, without the weights, that a checkpoint takes the crops of a clip in one question.

    Args:
        params: of the captioner.
        images: crops of the longest clip.

    Raises:
        UserError: it does not, or is missing, unreachable or incomplete.
    """
    from transformers import AutoConfig

    folder = params.resolved().folder
    try:
        config = AutoConfig.from_pretrained(folder, **OFFLINE)
        processor = load_processor(folder)
        prepare = QuestionPreparer.of(params, processor, config, images, torch_dtype(params))
    except Exception:
        return  # loading the model says what is wrong
    require_several(params.model, prepare, images)
    longest = prepare([largest_clip(images)])[0]
    require_context(params, config, longest["input_ids"].shape[1], images)


def require_several(
    model: str, prepare: Callable[[Sequence[Clip]], list[Inputs]], images: int
) -> None:
    """Check that the processor makes inputs of the first and of the last image of a question.

    Args:
        model: name of the checkpoint.
        prepare: makes the inputs of clips.
        images: crops of the longest clip.

    Raises:
        UserError: it fails with several images, or leaves some of them out.
    """
    try:
        made, *changed = prepare(_changed_at_the_ends(images))
    except Exception as error:
        raise _refused(model, images, error) from error
    if "input_ids" not in made:
        raise _refused(model, images, "it takes no text beside images")
    if any(_equal(made, other) for other in changed):
        raise _refused(model, images, "its processor leaves images out")


def require_seen(
    model: str,
    prepare: Callable[[Sequence[Clip]], list[Inputs]],
    logits: Callable[[Inputs], Any],
    images: int,
) -> None:
    """Check that the first and the last image of a question change what the model computes.

    Args:
        model: name of the checkpoint.
        prepare: makes the inputs of clips.
        logits: computes those of the first tokens.
        images: crops of the longest clip.

    Raises:
        UserError: the model leaves one of them out, as BLIP-2 does.
    """
    import torch

    made, *changed = [logits(item)[0] for item in prepare(_changed_at_the_ends(images))]
    if any(torch.equal(made, other) for other in changed):
        raise _refused(model, images, "the model leaves images out")


def _changed_at_the_ends(images: int) -> list[Clip]:
    """A clip, the same with another first image, and with another last image."""
    clip = sample_clip(images)
    white = np.full_like(clip[0], 255)
    return [clip, [white, *clip[1:]], [*clip[:-1], white]]


def require_context(params: CaptionerParams, config: Any, tokens: int, images: int) -> None:
    """Check that the longest question and answer fit into the model's context.

    Args:
        params: of the captioner.
        config: of the model.
        tokens: of the question with the crops of the longest clip.
        images: number of these crops.

    Raises:
        UserError: they do not fit.
    """
    most = getattr(config.get_text_config(), "max_position_embeddings", None)
    needed = tokens + params.max_new_tokens
    if most is not None and needed > most:
        raise UserError(
            f"A question about {images} images and its answer take up to {needed:,} tokens, but "
            f"'{params.model}' takes {most:,}; lower `crop.frames_per_clip`, set "
            "`caption.per: frame`, or take a model with a longer context."
        )


def require_run(model: str, answer: Callable[[], object], images: int) -> None:
    """Check that the model computes an answer about several images.

    Args:
        model: name of the checkpoint.
        answer: computes the first token of one.
        images: crops of the longest clip.

    Raises:
        UserError: it fails, though not for lack of memory.
    """
    try:
        answer()
    except Exception as error:
        if isinstance(error, RuntimeError) and out_of_memory(error):
            raise
        raise _refused(model, images, error) from error


def _refused(model: str, images: int, why: Exception | str) -> UserError:
    said = why if isinstance(why, str) else f"{type(why).__name__}: {why}"
    return UserError(
        f"'{model}' does not take the {images} images of a clip in one question "
        f"({' '.join(said.split())[:160]}); {INSTEAD}."
    )


def _equal(one: Inputs, other: Inputs) -> bool:
    import torch

    return one.keys() == other.keys() and all(
        torch.equal(value, other[name]) for name, value in one.items()
    )
