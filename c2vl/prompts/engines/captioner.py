"""The captioner: answers one question about each crop of a person.

It runs LLaVA, or any image-and-text model of transformers.
"""

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
from c2vl.prompts.engines.own_question import question_of
from c2vl.prompts.engines.pad_to_square import mean_colour
from c2vl.prompts.engines.pretrained import load_pretrained
from c2vl.prompts.engines.repeats import repeats
from c2vl.prompts.engines.sanity import require_words

if TYPE_CHECKING:
    import torch

    from c2vl.prompts.engines.model_inputs import Inputs

QUESTION = (
    "Is he/she or are they holding anything in the hand? "
    "Is he/she or are they standing or sitting? "
    "What is he/she or are they trying to do? Answer the questions concisely"
)
CHAT = "chat"  # a value of `template`: use the checkpoint's own
CPU_BATCH, MAX_BATCH = 16, 128  # crops; on a CPU, and the most that is tried on a GPU
LARGEST_IMAGE = (1000, 500)  # height and width of a person in a full-HD frame


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


class CaptionerParams(EngineParams):
    """Section `caption.captioner`.

    Attributes:
        question: asked about every crop; the default is the paper's, verbatim. `{file: PATH}` or
            `{function: module:name}` take it from elsewhere (docs/extend.md).
        template: the conversation the checkpoint was trained on, with `<image>` and `{question}`
            in it, or `chat` for the checkpoint's own. The default is LLaVA-1.5's. A server uses
            its own.
        max_new_tokens: a longer answer is cut off and marked unfinished.
        pad_to_square: pad crops with the mean colour, as the original LLaVA does. The processor
            alone cuts the head and feet off a tall crop, or (the tiny checkpoint's) stretches it.
        server: where answers come from; None computes them here.
    """

    ENGINE: ClassVar[str] = "captioner"
    ADAPTER_VERSION: ClassVar[int] = 2

    question: str = QUESTION
    template: str = "USER: <image>\n{question} ASSISTANT:"
    max_new_tokens: int = Field(default=64, ge=1)
    pad_to_square: bool = True
    server: ServerParams | None = None

    @field_validator("question", mode="before")
    @classmethod
    def _from_elsewhere(cls, question: Any) -> Any:
        return question_of(question) if isinstance(question, dict) else question

    @field_validator("template")
    @classmethod
    def _has_both_places(cls, template: str) -> str:
        counts = template.count("<image>"), template.count("{question}")
        if template != CHAT and counts != (1, 1):
            raise ValueError("must hold `<image>` and `{question}` once each, or be `chat`")
        return template

    def identity(self) -> str:
        """Identity of the checkpoint, or what is known of the server's."""
        if self.server:
            return f"server:{self.server.model}@{self.server.revision}"
        return super().identity()

    def expects(self) -> tuple[str, ...]:
        """Also the token ids that end an answer, and the checkpoint's conversation if asked for."""
        chat = ("chat_template.*",) if self.template == CHAT else ()
        return (*super().expects(), "generation_config.json", *chat)

    def prompt(self, processor: Any = None, images: int = 1) -> str:
        """The full prompt for one crop, or for the crops of a clip in order.

        Args:
            processor: the checkpoint's; only `chat` needs it.
            images: number of crops. In `template`, `<image>` stands once a line for each.

        Raises:
            UserError: the template is `chat` and the checkpoint has none.
        """
        if self.template != CHAT:
            places = "\n".join(["<image>"] * images)
            return self.template.replace("<image>", places).replace("{question}", self.question)
        content = [*[{"type": "image"}] * images, {"type": "text", "text": self.question}]
        try:
            prompt = processor.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True
            )
        except (ValueError, AttributeError):
            raise UserError(
                f"{self.model} has no chat template; write the conversation that it was trained on "
                "into `caption.captioner.template`."
            ) from None
        return str(prompt)


@dataclass(frozen=True)
class Answer:
    """An answer, and whether it ended before `max_new_tokens`."""

    text: str
    finished: bool

    @property
    def repeats(self) -> bool:
        """Whether it repeats itself; see `c2vl.prompts.engines.repeats`."""
        return repeats(self.text)


@dataclass(frozen=True)
class NoAnswer:
    """Why a crop or clip has no answer."""

    reason: str


class Answerer(Protocol):
    """What the caption stage needs of a captioner, wherever it runs."""

    fingerprint: str

    def prepare(self, images: Sequence[Any]) -> list[Any]:
        """Turn crops (H, W, 3) uint8 RGB into what `answer` takes; thread-safe, on the CPU.

        A captioner of clips takes sequences of crops.
        """

    def answer(self, ready: Sequence[Any]) -> Sequence[Answer | NoAnswer]:
        """Answer for each prepared crop or clip."""

    def batch_size(self) -> int:
        """Crops to pass to `answer` at once."""

    def close(self) -> None:
        """End; nothing more will be asked."""


class Captioner:
    """Answers by greedy decoding.

    The prompts of a batch have equal length: nothing is padded and no mask is needed, so an answer
    does not depend on its neighbours. On a GPU another batch size can still pick another kernel
    and, rarely, another word. Equal answers are promised for equal batches only.
    """

    def __init__(
        self, params: CaptionerParams, model: Any, processor: Any, device: torch.device, key: str
    ) -> None:
        self.fingerprint = key
        self._params, self._model, self._processor, self._device = params, model, processor, device
        self._prompt = params.prompt(processor)
        self._inputs = BatchedProcessor(ThreadLocalProcessor(processor), text=self._prompt)
        self._colour = mean_colour(processor.image_processor)
        self._batching = Batching("captioner", key, device, CPU_BATCH, MAX_BATCH)
        tokenizer = processor.tokenizer
        require_words(params.model, tokenizer, params.question)
        end = model.generation_config.eos_token_id
        end = tokenizer.eos_token_id if end is None else end
        self._end_tokens = set(end if isinstance(end, list) else [end])
        pad = tokenizer.pad_token_id
        self._token_ids = {
            "bos_token_id": model.generation_config.bos_token_id,
            "eos_token_id": sorted(self._end_tokens),
            "pad_token_id": min(self._end_tokens) if pad is None else pad,
            "decoder_start_token_id": model.generation_config.decoder_start_token_id,
        }
        # `generate` fills what a config leaves open from the model's own. That must be ours too:
        # a checkpoint may ship a repetition penalty or other settings that change answers.
        self._model.generation_config = self._generation_config()

    def _generation_config(self, **settings: Any) -> Any:
        """Greedy decoding and nothing else: of the checkpoint's settings only its token ids."""
        from transformers import GenerationConfig

        return GenerationConfig(
            do_sample=False,
            num_beams=1,
            max_new_tokens=self._params.max_new_tokens,
            **self._token_ids,
            **settings,
        )

    @classmethod
    def load(cls, params: CaptionerParams, device: torch.device | str) -> Captioner:
        """Load checkpoint and processor onto `device`.

        Raises:
            UserError: the checkpoint is missing, unreachable, incomplete or of another kind.
        """
        model, processor, where = cls.parts(params, device)
        return cls(params, model, processor, where, fingerprint(params))

    @staticmethod
    def parts(params: CaptionerParams, device: torch.device | str) -> tuple[Any, Any, torch.device]:
        """Model, processor and device; raises as `load`."""
        import torch
        from transformers import AutoModelForImageTextToText

        weights, where = params.resolved(), torch.device(device)
        return *load_pretrained(
            AutoModelForImageTextToText, weights, torch_dtype(params), where
        ), where

    def __call__(self, images: Sequence[np.ndarray]) -> list[Answer]:
        """Answer the question for each crop (H, W, 3) uint8 RGB."""
        return self.answer(self.prepare(images))

    @property
    def preparer(self) -> ImagePreparer:
        """What `prepare` does, as an object that other processes can run."""
        square = self._colour if self._params.pad_to_square else None
        return ImagePreparer(self._inputs, self._model.dtype, square)

    def prepare(self, images: Sequence[np.ndarray]) -> list[Inputs]:
        """Pad if asked, resize, normalise and tokenise; thread-safe, on the CPU."""
        return self.preparer(images)

    def answer(self, ready: Sequence[Inputs]) -> list[Answer]:
        """Answer for prepared crops; those with prompts of equal length share a batch."""
        answers: dict[int, Answer] = {}
        for indices in group_by_shape(ready):
            group = self._batching.run([ready[index] for index in indices], self._answer)
            answers.update(zip(indices, group, strict=True))
        return [answers[index] for index in range(len(ready))]

    def batch_size(self) -> int:
        """Crops per batch on this device, measured with the longest answers that may come.

        See `c2vl.prompts.engines.batching`.
        """
        one = self.prepare([np.zeros((*LARGEST_IMAGE, 3), np.uint8)])
        longest = self._generation_config(min_new_tokens=self._params.max_new_tokens)
        return self._batching.size(
            lambda count: self._generate(to_batch(one * count, self._device), longest)
        )

    def close(self) -> None:
        """Do nothing: no request is open here."""

    def _answer(self, ready: Sequence[Inputs]) -> list[Answer]:
        inputs = to_batch(ready, self._device)
        tokens = self._generate(inputs, self._generation_config())
        new = tokens[:, inputs["input_ids"].shape[1] :].cpu()  # (N, L)
        texts = self._processor.batch_decode(new, skip_special_tokens=True)
        ended = [not self._end_tokens.isdisjoint(row) for row in new.tolist()]
        return [Answer(text.strip(), finished) for text, finished in zip(texts, ended, strict=True)]

    def _generate(self, inputs: dict[str, torch.Tensor], config: Any) -> torch.Tensor:
        import torch

        with torch.inference_mode():
            tokens: torch.Tensor = self._model.generate(**inputs, generation_config=config)
        return tokens
