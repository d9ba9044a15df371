"""The captioner's loss: the tokens of an answer, after a crop and a question."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from c2vl.studio.engines.checkpoints import captioner_tokenizer
from c2vl.studio.engines.configs import PATCHES
from c2vl.studio.engines.wording import prompts

OTHER_QUESTION = 0.15  # share of batches with another wording than the paper's


class Answers:
    """Tokens of the prompts and of each crop's answer, with end tokens."""

    def __init__(self, sentences: np.ndarray) -> None:
        tokenizer = captioner_tokenizer()
        image = "<image>"
        self._prompts = [
            torch.tensor(tokenizer(p.replace(image, image * PATCHES))["input_ids"])
            for p in prompts()
        ]
        distinct, inverse = np.unique(sentences, return_inverse=True)
        self._answer_of = torch.from_numpy(inverse)
        # A space before the answer, as after `ASSISTANT:` in LLaVA, and no second start token.
        answers = [
            tokenizer(f" {text}", add_special_tokens=False)["input_ids"] for text in distinct
        ]
        ended = [torch.tensor([*tokens, tokenizer.eos_token_id]) for tokens in answers]
        pad = torch.nn.utils.rnn.pad_sequence
        self._inputs = pad(ended, batch_first=True, padding_value=tokenizer.pad_token_id)
        self._labels = pad(ended, batch_first=True, padding_value=-100)

    def loss(
        self, model: Any, patches: torch.Tensor, crops: torch.Tensor, rng: np.random.Generator
    ) -> torch.Tensor:
        """Cross-entropy of the answers' tokens.

        Padding follows the answer; the model is causal, so counted tokens do not see it.

        Args:
            model: the LLaVA; its vision tower does not run.
            patches: (N, P, D) of the tower's second-last layer, without the class token.
            crops: (N,) indices of the crops.
            rng: draws which question is asked.
        """
        other = len(self._prompts) > 1 and rng.random() < OTHER_QUESTION
        prompt = self._prompts[int(rng.integers(1, len(self._prompts))) if other else 0]
        answer = self._answer_of[crops]
        inputs, labels = self._inputs[answer], self._labels[answer]
        longest = int((labels >= 0).sum(1).max())
        inputs, labels = inputs[:, :longest], labels[:, :longest]  # (N, L)
        tokens = torch.cat([prompt.expand(len(crops), -1), inputs[:, :-1]], 1)
        embedded = model.get_input_embeddings()(tokens)
        places = (tokens == model.config.image_token_id)[..., None].expand_as(embedded)
        embedded = embedded.masked_scatter(places, model.model.multi_modal_projector(patches))
        states = model.model.language_model(
            inputs_embeds=embedded, use_cache=False
        ).last_hidden_state
        logits = model.lm_head(states[:, len(prompt) - 1 :])  # (N, L, vocabulary)
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)
