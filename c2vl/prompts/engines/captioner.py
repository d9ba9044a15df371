"""The captioner: one answer to one question about each person crop (LLaVA, or any image-and-text model of transformers)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from pydantic import Field, field_validator

from c2vl.core.errors import UserError
from c2vl.core.params import ParamsModel
from c2vl.prompts.engines.batched_processor import BatchedProcessor
from c2vl.prompts.engines.batching import Batching
from c2vl.prompts.engines.engine_params import EngineParams, torch_dtype
from c2vl.prompts.engines.fingerprints import fingerprint
from c2vl.prompts.engines.image_inputs import ImagePreparer
from c2vl.prompts.engines.model_inputs import ThreadLocalProcessor, group_by_shape, to_batch
from c2vl.prompts.engines.pad_to_square import mean_colour
from c2vl.prompts.engines.pretrained import load_pretrained
from c2vl.prompts.engines.repeats import repeats
from c2vl.prompts.engines.weights import resolve

if TYPE_CHECKING:
    import torch

    from c2vl.prompts.engines.model_inputs import Inputs

QUESTION = (
    "Is he/she or are they holding anything in the hand? Is he/she or are they standing or sitting? "
    "What is he/she or are they trying to do? Answer the questions concisely"
)
CHAT = "chat"  # instead of a template: the checkpoint's own
CPU_BATCH, MAX_BATCH = 16, 128  # on a CPU, and the most that is tried elsewhere
LARGEST_IMAGE = (1000, 500)  # a person in a full-HD frame


class ServerParams(ParamsModel):
    """An OpenAI-compatible server that answers instead; its address and key are this machine's (`C2VL_CAPTION_URL`, `_KEY`).

    Attributes:
        model: the name it serves the model under.
        revision: which weights those are, as far as you know (a commit, a date). No server can prove it; it is part of the key.
    """

    model: str
    revision: str | None = None


class CaptionerParams(EngineParams):
    """Section `caption.captioner`.

    Attributes:
        question: put to every crop; the default is the paper's, verbatim.
        template: the conversation the checkpoint was trained on, with `<image>` and `{question}` in it, or `chat` for the
            one that the checkpoint brings along; the default is LLaVA-1.5's. A server uses its own.
        max_new_tokens: an answer that has not ended by then is cut off and marked unfinished.
        pad_to_square: pad crops with the mean colour, as the original LLaVA does; the processor alone
            would cut the head and feet off a tall crop, or (the tiny checkpoint's) stretch it.
        server: answers come from there; None computes them here.
    """

    ENGINE: ClassVar[str] = "captioner"
    ADAPTER_VERSION: ClassVar[int] = 2

    question: str = QUESTION
    template: str = "USER: <image>\n{question} ASSISTANT:"
    max_new_tokens: int = Field(default=64, ge=1)
    pad_to_square: bool = True
    server: ServerParams | None = None

    @field_validator("template")
    @classmethod
    def _has_both_places(cls, template: str) -> str:
        if template != CHAT and (
            template.count("<image>") != 1 or template.count("{question}") != 1
        ):
            raise ValueError("must hold `<image>` and `{question}` once each, or be `chat`")
        return template

    def identity(self) -> str:
        """The checkpoint's, or what is known of the server's."""
        return (
            f"server:{self.server.model}@{self.server.revision}"
            if self.server
            else super().identity()
        )

    def prompt(self, processor: Any = None) -> str:
        """The full prompt of one crop.

        Raises:
            UserError: the template is `chat` and the checkpoint has none.
        """
        if self.template != CHAT:
            return self.template.replace("{question}", self.question)
        content = [{"type": "image"}, {"type": "text", "text": self.question}]
        try:
            prompt = processor.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True
            )
        except (ValueError, AttributeError):
            raise UserError(
                f"{self.model} has no chat template; write the conversation it was trained on into `template`."
            ) from None
        return str(prompt)


@dataclass(frozen=True)
class Answer:
    """What the captioner said, whether it came to an end before `max_new_tokens`, and whether it goes round in circles."""

    text: str
    finished: bool

    @property
    def repeats(self) -> bool:
        """See `c2vl.prompts.engines.repeats`."""
        return repeats(self.text)


@dataclass(frozen=True)
class NoAnswer:
    """Why one crop got none, where the others did."""

    reason: str


class Answerer(Protocol):
    """What the caption stage needs of a captioner, wherever it runs."""

    fingerprint: str

    def prepare(self, images: Sequence[np.ndarray]) -> list[Any]:
        """What needs no engine, in any thread: crops (H, W, 3) uint8 RGB to what `answer` takes."""

    def answer(self, ready: Sequence[Any]) -> Sequence[Answer | NoAnswer]:
        """An answer to each prepared crop."""

    def batch_size(self) -> int:
        """Crops to hand over at once."""

    def close(self) -> None:
        """No more will be asked."""


class Captioner:
    """Answers by greedy decoding.

    Prompts of a batch are equally long: nothing is padded and no mask is needed, which is what
    keeps an answer from depending on its neighbours. On a GPU another batch size can still pick another kernel
    and, rarely, another word; equality is promised only for the same composition of a batch.
    """

    def __init__(
        self, params: CaptionerParams, model: Any, processor: Any, device: torch.device, key: str
    ) -> None:
        from transformers import GenerationConfig

        self.fingerprint = key
        self._params, self._model, self._processor, self._device = params, model, processor, device
        self._prompt = params.prompt(processor)
        self._together = BatchedProcessor(ThreadLocalProcessor(processor), text=self._prompt)
        self._colour = mean_colour(processor.image_processor)
        self._batching = Batching("captioner", key, device, CPU_BATCH, MAX_BATCH)
        shipped = model.generation_config
        end = (
            shipped.eos_token_id
            if shipped.eos_token_id is not None
            else processor.tokenizer.eos_token_id
        )
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

        weights, where = resolve(params.model, params.revision), torch.device(device)
        model, processor = load_pretrained(
            AutoModelForImageTextToText, weights, torch_dtype(params), where
        )
        return cls(params, model, processor, where, fingerprint(params))

    def __call__(self, images: Sequence[np.ndarray]) -> list[Answer]:
        """Answer the question for each crop (H, W, 3) uint8 RGB."""
        return self.answer(self.prepare(images))

    @property
    def preparer(self) -> ImagePreparer:
        """What `prepare` does, for other processes."""
        return ImagePreparer(
            self._together, self._model.dtype, self._colour if self._params.pad_to_square else None
        )

    def prepare(self, images: Sequence[np.ndarray]) -> list[Inputs]:
        """Pad if asked, resize, normalise, tokenise; needs no device and may be called in any thread."""
        return self.preparer(images)

    def answer(self, ready: Sequence[Inputs]) -> list[Answer]:
        """Answer for prepared crops; those with prompts of one length share a batch."""
        answers: dict[int, Answer] = {}
        for indices in group_by_shape(ready):
            answers.update(
                zip(
                    indices,
                    self._batching.run([ready[index] for index in indices], self._answer),
                    strict=True,
                )
            )
        return [answers[index] for index in range(len(ready))]

    def batch_size(self) -> int:
        """Crops at once on this device, measured with answers as long as they may get; see `c2vl.prompts.engines.batching`."""
        one, longest = (
            self.prepare([np.zeros((*LARGEST_IMAGE, 3), np.uint8)]),
            self._params.max_new_tokens,
        )
        return self._batching.size(
            lambda count: self._generate(
                to_batch(one * count, self._device), min_new_tokens=longest
            )
        )

    def close(self) -> None:
        """Nothing is under way here."""

    def _answer(self, ready: Sequence[Inputs]) -> list[Answer]:
        inputs = to_batch(ready, self._device)
        new = self._generate(inputs)[:, inputs["input_ids"].shape[1] :].cpu()  # (N, L)
        texts = self._processor.batch_decode(new, skip_special_tokens=True)
        ended = [not self._end_tokens.isdisjoint(row) for row in new.tolist()]
        return [Answer(text.strip(), finished) for text, finished in zip(texts, ended, strict=True)]

    def _generate(self, inputs: dict[str, torch.Tensor], **changes: Any) -> torch.Tensor:
        import torch

        with torch.inference_mode():
            tokens: torch.Tensor = self._model.generate(
                **inputs, generation_config=self._generation, **changes
            )
        return tokens
