"""How an encoder's texts become token ids: cut to the context, padded, with a mask or without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from c2vl.prompts.engines.model_inputs import ThreadLocalProcessor

if TYPE_CHECKING:
    import torch

# Text towers with RoBERTa's positions, which begin after that of the padding token.
ROBERTA = ("altclip",)


@dataclass(frozen=True)
class TokenIds:
    """A text's token ids, and whether some were cut off."""

    ids: list[int]
    truncated: bool


class Texts:
    """Turns texts into a model's inputs as the model's documentation does.

    SigLIP and others were trained on texts padded to one length. Their processors, or for SigLIP
    its documentation, ask for it: `padding="max_length"`. The tokenizer says on which side, and
    whether the model gets a mask.

    Args:
        model: of transformers, with a text tower.
        processor: with a `tokenizer`.
    """

    def __init__(self, model: Any, processor: Any) -> None:
        tokenizer, kind = processor.tokenizer, str(model.config.model_type)
        self._tokenizer = ThreadLocalProcessor(tokenizer)
        text = model.config.text_config
        defaults = getattr(type(processor), "text_kwargs", None) or {}
        context = int(text.max_position_embeddings)
        if kind in ROBERTA:
            context -= int(text.pad_token_id) + 1
        self.padded = kind.startswith("siglip") or defaults.get("padding") == "max_length"
        self.context = min(context, int(defaults.get("max_length", context)))
        # SigLIP's tokenizers name `input_ids` alone: its text tower reads padding as it was trained
        # to.
        self._masked = "attention_mask" in tokenizer.model_input_names
        self._left = self.padded and tokenizer.padding_side == "left"
        pad = tokenizer.pad_token_id
        self._pad = int(pad if pad is not None else tokenizer.eos_token_id)

    def prepare(self, texts: Sequence[str]) -> list[TokenIds]:
        """Tokenise; a text that is too long is cut and keeps its end token."""
        if not texts:
            return []
        tokenizer = self._tokenizer.of_thread()
        whole = tokenizer(list(texts), verbose=False)["input_ids"]
        cut = tokenizer(list(texts), truncation=True, max_length=self.context)["input_ids"]
        return [
            TokenIds(list(ids), len(all_ids) > self.context)
            for ids, all_ids in zip(cut, whole, strict=True)
        ]

    def known_words(self, words: Sequence[str]) -> set[str]:
        """Those of `words` that the tokenizer has as one token."""
        tokenizer = self._tokenizer.of_thread()
        return {word for word in words if len(tokenizer.tokenize(word)) == 1}

    def batch(self, ready: Sequence[TokenIds]) -> dict[str, torch.Tensor]:
        """The inputs of tokenised texts, on the CPU."""
        import torch

        longest = self.context if self.padded else max(len(words.ids) for words in ready)
        ids = torch.full((len(ready), longest), self._pad)
        mask = torch.zeros_like(ids)
        for row, words in enumerate(ready):
            start = longest - len(words.ids) if self._left else 0
            place = slice(start, start + len(words.ids))
            ids[row, place] = torch.tensor(words.ids, dtype=torch.long)
            mask[row, place] = 1
        return {"input_ids": ids} | ({"attention_mask": mask} if self._masked else {})
