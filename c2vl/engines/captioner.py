"""The captioner: one answer to one question about each person crop (LLaVA)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field, field_validator

from c2vl.engines.base import EngineParams, torch_dtype
from c2vl.engines.fingerprints import fingerprint
from c2vl.engines.loading import load_pretrained
from c2vl.engines.weights import resolve

if TYPE_CHECKING:
    import torch

QUESTION = (
    "Is he/she or are they holding anything in the hand? Is he/she or are they standing or sitting? "
    "What is he/she or are they trying to do? Answer the questions concisely"
)


class CaptionerParams(EngineParams):
    """Section `caption.captioner`.

    Attributes:
        question: put to every crop; the default is the paper's, verbatim.
        template: the conversation the checkpoint was trained on, with `<image>` and `{question}` in it;
            the default is LLaVA-1.5's.
        max_new_tokens: an answer that has not ended by then is cut off and marked unfinished.
        pad_to_square: pad crops with the mean colour, as the original LLaVA does; the processor alone
            would cut the head and feet off a tall crop, or (the tiny checkpoint's) stretch it.
    """

    ENGINE: ClassVar[str] = "captioner"
    ADAPTER_VERSION: ClassVar[int] = 1

    question: str = QUESTION
    template: str = "USER: <image>\n{question} ASSISTANT:"
    max_new_tokens: int = Field(default=64, ge=1)
    pad_to_square: bool = True

    @field_validator("template")
    @classmethod
    def _has_both_places(cls, template: str) -> str:
        if template.count("<image>") != 1 or template.count("{question}") != 1:
            raise ValueError("must hold `<image>` and `{question}` once each")
        return template

    def prompt(self) -> str:
        """The full prompt of one crop."""
        return self.template.replace("{question}", self.question)


@dataclass(frozen=True)
class Answer:
    """What the captioner said, and whether it came to an end before `max_new_tokens`."""

    text: str
    finished: bool


def pad_to_square(image: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """Centre `image` (H, W, 3) uint8 on a square of `colour` (RGB); the original LLaVA's `expand2square`."""
    height, width = image.shape[:2]
    side = max(height, width)
    square = np.empty((side, side, 3), np.uint8)
    square[:] = colour
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = image
    return square


class Captioner:
    """Answers by greedy decoding.

    All prompts of a batch are equal and so equally long: nothing is padded and no mask is needed, which is what
    keeps an answer from depending on its neighbours. On a GPU another batch size can still pick another kernel
    and, rarely, another word; equality is promised only for the same composition of a batch.
    """

    def __init__(self, params: CaptionerParams, model: Any, processor: Any, device: torch.device, key: str) -> None:
        from transformers import GenerationConfig

        self.fingerprint = key
        self._params, self._model, self._processor, self._device = params, model, processor, device
        mean = processor.image_processor.image_mean or (0.5, 0.5, 0.5)
        self._mean_colour = (int(mean[0] * 255), int(mean[1] * 255), int(mean[2] * 255))
        shipped = model.generation_config
        end = shipped.eos_token_id if shipped.eos_token_id is not None else processor.tokenizer.eos_token_id
        self._end_tokens = set(end if isinstance(end, list) else [end])
        # A config of our own: whatever sampling a checkpoint ships (temperature, penalties) stays out.
        pad = processor.tokenizer.pad_token_id
        self._generation = GenerationConfig(
            do_sample=False,
            num_beams=1,
            max_new_tokens=params.max_new_tokens,
            bos_token_id=shipped.bos_token_id,
            eos_token_id=sorted(self._end_tokens),
            pad_token_id=pad if pad is not None else min(self._end_tokens),
        )

    @classmethod
    def load(cls, params: CaptionerParams, device: torch.device | str) -> Captioner:
        """Load checkpoint and processor onto `device`.

        Raises:
            UserError: the checkpoint is missing, unreachable, incomplete or of another kind.
        """
        import torch
        from transformers import AutoModelForImageTextToText

        weights = resolve(params.model, params.revision)
        model, processor = load_pretrained(AutoModelForImageTextToText, weights, torch_dtype(params))
        where = torch.device(device)
        return cls(params, model.to(where).eval(), processor, where, fingerprint(params))

    def __call__(self, images: list[np.ndarray]) -> list[Answer]:
        """Answer the question for each crop (H, W, 3) uint8 RGB, in one batch."""
        import torch

        if not images:
            return []
        if self._params.pad_to_square:
            images = [pad_to_square(image, self._mean_colour) for image in images]
        inputs = self._processor(images=list(images), text=[self._params.prompt()] * len(images), return_tensors="pt")
        inputs = inputs.to(self._device, self._model.dtype)
        with torch.inference_mode():
            tokens = self._model.generate(**inputs, generation_config=self._generation)
        new = tokens[:, inputs["input_ids"].shape[1] :].cpu()  # (N, L)
        texts = self._processor.batch_decode(new, skip_special_tokens=True)
        ended = [not self._end_tokens.isdisjoint(row) for row in new.tolist()]
        return [Answer(text.strip(), finished) for text, finished in zip(texts, ended, strict=True)]
