"""The captioner: answers one question about each crop of a person.

It runs LLaVA, or any image-and-text model of transformers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field, field_validator

from c2vl.core.errors import UserError
from c2vl.prompts.engines.answers import Answer, Answerer, NoAnswer
from c2vl.prompts.engines.batched_processor import BatchedProcessor
from c2vl.prompts.engines.batching import Batching
from c2vl.prompts.engines.engine_params import EngineParams, torch_dtype
from c2vl.prompts.engines.fingerprints import fingerprint
from c2vl.prompts.engines.image_inputs import ImagePreparer
from c2vl.prompts.engines.image_mark import with_image_mark
from c2vl.prompts.engines.model_inputs import (
    ThreadLocalProcessor,
    answers_of,
    group_by_shape,
    to_batch,
)
from c2vl.prompts.engines.own_question import question_of
from c2vl.prompts.engines.pad_to_square import mean_colour
from c2vl.prompts.engines.padding import group_by_length, length, padded
from c2vl.prompts.engines.pixel_budget import set_pixel_budget
from c2vl.prompts.engines.pretrained import load_pretrained
from c2vl.prompts.engines.sanity import require_words
from c2vl.prompts.engines.server_params import ServerParams
from c2vl.prompts.engines.token_noise import TokenNoise
from c2vl.prompts.engines.trial import Together, answering, find_together, trial_images

if TYPE_CHECKING:
    import torch

    from c2vl.prompts.engines.model_inputs import Inputs

__all__ = ["QUESTION", "Answer", "Answerer", "Captioner", "CaptionerParams", "NoAnswer"]

QUESTION = (
    "Is he/she or are they holding anything in the hand? "
    "Is he/she or are they standing or sitting? "
    "What is he/she or are they trying to do? Answer the questions concisely"
)
OFF = (("max_pixels", None), ("temperature", 0.0))  # they change nothing, so they are in no key
CHAT = "chat"  # a value of `template`: use the checkpoint's own
CPU_BATCH, MAX_BATCH = 16, 128  # crops; on a CPU, and the most that is tried on a GPU
LARGEST_IMAGE = (1000, 500)  # height and width of a person in a full-HD frame


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
        max_pixels: a crop that has more is scaled down, so that it costs fewer tokens. None: as the
            checkpoint does. Models of one input size gain nothing from it.
        temperature: 0 takes the likeliest token (greedy). Above, tokens are drawn, by a generator
            that the crop seeds: equal crops get equal answers. LLaVA's own script has 0.2.
        server: where answers come from; None computes them here.
    """

    ENGINE: ClassVar[str] = "captioner"
    ADAPTER_VERSION: ClassVar[int] = 2

    question: str = QUESTION
    template: str = "USER: <image>\n{question} ASSISTANT:"
    max_new_tokens: int = Field(default=64, ge=1)
    pad_to_square: bool = True
    max_pixels: int | None = Field(default=None, ge=1024)
    temperature: float = Field(default=0.0, ge=0, le=2)
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

    def in_key(self) -> dict[str, Any]:
        """As of every engine; `max_pixels` and `temperature` are in it only if they are set."""
        entries = super().in_key()
        return {key: value for key, value in entries.items() if (key, value) not in OFF}

    def expects(self) -> tuple[str, ...]:
        """Also the token ids that end an answer, and the checkpoint's conversation if asked for."""
        chat = ("chat_template.*",) if self.template == CHAT else ()
        return (*super().expects(), "generation_config.json", *chat)

    def prompt(self, processor: Any = None, images: int = 1) -> str:
        """The full prompt for one crop, or for the crops of a clip in order.

        Args:
            processor: the checkpoint's; None leaves `<image>` as it is.
            images: number of crops. In `template`, `<image>` stands once a line for each.

        Raises:
            UserError: the template is `chat` and the checkpoint has none.
        """
        if self.template != CHAT:
            places = "\n".join(["<image>"] * images)
            template = with_image_mark(self.template.replace("<image>", places), processor)
            return template.replace("{question}", self.question)
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


class Captioner:
    """Answers by greedy decoding, or with `temperature` by drawing tokens.

    Prompts of equal length share a batch without a mask, so an answer does not depend on its
    neighbours. A model that sees crops in their own resolution has prompts of all lengths: they are
    padded on the left, if a trial shows that this changes nothing. On a GPU another batch can still
    pick another kernel and, rarely, another word; equal answers are promised for equal batches.
    """

    def __init__(
        self, params: CaptionerParams, model: Any, processor: Any, device: torch.device, key: str
    ) -> None:
        self.fingerprint = key
        self._params, self._model, self._processor, self._device = params, model, processor, device
        self._shrink = params.max_pixels
        if params.max_pixels and set_pixel_budget(
            processor.image_processor, model.config, params.max_pixels
        ):
            self._shrink = None
        self._together = Together.EQUAL  # until a trial tells
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
        self._pad = min(self._end_tokens) if pad is None else int(pad)
        self._token_ids = {
            "bos_token_id": model.generation_config.bos_token_id,
            "eos_token_id": sorted(self._end_tokens),
            "pad_token_id": self._pad,
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
        with answering(params, model):
            captioner = cls(params, model, processor, where, fingerprint(params))
            captioner._try_together(trial_images())
        return captioner

    def _try_together(self, images: Sequence[Any]) -> None:
        """Find out with these images, or clips, which prompts may share a batch."""
        import torch

        half = self._model.dtype != torch.float32
        self._together = find_together(self.prepare(images), self._begin, half)

    @staticmethod
    def parts(params: CaptionerParams, device: torch.device | str) -> tuple[Any, Any, torch.device]:
        """Model, processor and device; raises as `load`."""
        import torch
        from transformers import AutoModelForImageTextToText

        weights, where = params.resolved(), torch.device(device)
        return *load_pretrained(
            AutoModelForImageTextToText, weights, torch_dtype(params), where
        ), where

    def _begin(self, ready: Sequence[Inputs]) -> Any:
        """The logits (N, V) of each of the first two tokens, for one padded batch."""
        config = self._generation_config(min_new_tokens=2)
        config.max_new_tokens = 2
        config.return_dict_in_generate = config.output_logits = True
        made: Any = self._generate(to_batch(padded(ready, self._pad), self._device), config)
        return made["logits"]

    def __call__(self, images: Sequence[np.ndarray]) -> list[Answer]:
        """Answer the question for each crop (H, W, 3) uint8 RGB."""
        return self.answer(self.prepare(images))

    @property
    def preparer(self) -> ImagePreparer:
        """What `prepare` does, as an object that other processes can run."""
        square = self._colour if self._params.pad_to_square else None
        return ImagePreparer(self._inputs, self._model.dtype, square, self._shrink)

    def prepare(self, images: Sequence[np.ndarray]) -> list[Inputs]:
        """Pad if asked, resize, normalise and tokenise; thread-safe, on the CPU."""
        return self.preparer(images)

    def answer(self, ready: Sequence[Inputs]) -> list[Answer]:
        """Answer for prepared crops; those with prompts of like length share a batch."""
        answers: dict[int, Answer] = {}
        for indices in self.groups(ready):
            group = self._batching.run([ready[index] for index in indices], self._answer)
            answers.update(zip(indices, group, strict=True))
        return [answers[index] for index in range(len(ready))]

    def groups(self, ready: Sequence[Inputs]) -> list[list[int]]:
        """Indices of the prepared crops that share a batch."""
        if self._together is Together.NONE:
            return [[index] for index in range(len(ready))]
        if self._together is Together.EQUAL:
            return group_by_shape(ready)
        return group_by_length([length(one) for one in ready])

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
        pads = self._together is Together.LIKE
        inputs = to_batch(padded(ready, self._pad) if pads else ready, self._device)
        temperature = self._params.temperature
        noise = [TokenNoise(ready, temperature)] if temperature else []
        tokens = self._generate(inputs, self._generation_config(), noise)
        new = answers_of(tokens, inputs, self._model.config.is_encoder_decoder).cpu()  # (N, L)
        texts = self._processor.batch_decode(new, skip_special_tokens=True)
        ended = [not self._end_tokens.isdisjoint(row) for row in new.tolist()]
        return [Answer(text.strip(), finished) for text, finished in zip(texts, ended, strict=True)]

    def _generate(
        self, inputs: dict[str, torch.Tensor], config: Any, noise: Sequence[TokenNoise] = ()
    ) -> torch.Tensor:
        import torch
        from transformers import LogitsProcessorList

        with torch.inference_mode():
            tokens: torch.Tensor = self._model.generate(
                **inputs, generation_config=config, logits_processor=LogitsProcessorList(noise)
            )
        return tokens
