"""The encoder: crops and answers to features of one shared space (CLIP, SigLIP)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from c2vl.prompts.engines.batched_processor import BatchedProcessor
from c2vl.prompts.engines.batching import Batching
from c2vl.prompts.engines.engine_params import EngineParams, torch_dtype
from c2vl.prompts.engines.fingerprints import fingerprint
from c2vl.prompts.engines.image_inputs import ImagePreparer
from c2vl.prompts.engines.model_inputs import ThreadLocalProcessor, group_by_shape, to_batch
from c2vl.prompts.engines.pad_to_square import mean_colour
from c2vl.prompts.engines.pretrained import load_pretrained
from c2vl.prompts.engines.weights import resolve

if TYPE_CHECKING:
    import torch

    from c2vl.prompts.engines.model_inputs import Inputs

CPU_BATCH, MAX_BATCH = 32, 256  # on a CPU, and the most that is tried elsewhere


class EncoderParams(EngineParams):
    """Section `embed.encoder`.

    Attributes:
        normalise: give features unit length.
        pad_to_square: pad crops with the mean colour. CLIP's processor otherwise cuts a centre square out, which takes head and
            feet off a standing person, and SigLIP's stretches.
    """

    ENGINE: ClassVar[str] = "encoder"
    ADAPTER_VERSION: ClassVar[int] = 2

    normalise: bool = True
    pad_to_square: bool = False


@dataclass(frozen=True)
class Words:
    """A text's token ids, and whether some were cut away."""

    ids: list[int]
    truncated: bool


class Encoder:
    """Image and text features of equal width."""

    def __init__(
        self, params: EncoderParams, model: Any, processor: Any, device: torch.device, key: str
    ) -> None:
        self.fingerprint = key
        self._params, self._model, self._processor, self._device = params, model, processor, device
        self._together, self._texts = (
            BatchedProcessor(ThreadLocalProcessor(processor.image_processor)),
            ThreadLocalProcessor(processor.tokenizer),
        )
        self._colour = mean_colour(processor.image_processor)
        self._batching = Batching("encoder", key, device, CPU_BATCH, MAX_BATCH)
        self._context = int(model.config.text_config.max_position_embeddings)
        # SigLIP was trained on texts filled up to the context, without a mask, and reads the last place.
        self._filled = str(model.config.model_type).startswith("siglip")
        pad = processor.tokenizer.pad_token_id
        self._pad = int(pad if pad is not None else processor.tokenizer.eos_token_id)
        self.width = self.texts(["a"])[0].shape[1]

    @classmethod
    def load(cls, params: EncoderParams, device: torch.device | str) -> Encoder:
        """Load checkpoint and processor onto `device`.

        Raises:
            UserError: the checkpoint is missing, unreachable, incomplete or of another kind.
        """
        import torch
        from transformers import AutoModel

        weights, where = resolve(params.model, params.revision), torch.device(device)
        model, processor = load_pretrained(AutoModel, weights, torch_dtype(params), where)
        return cls(params, model, processor, where, fingerprint(params))

    def images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Features (N, width) float16 of images (H, W, 3) uint8 RGB."""
        return self.encode_images(self.prepare_images(images))

    def texts(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Features (N, width) float16, and which texts were cut to the context length (N,) bool."""
        ready = self.prepare_texts(texts)
        return self.encode_texts(ready), np.array([words.truncated for words in ready], bool)

    @property
    def preparer(self) -> ImagePreparer:
        """What `prepare_images` does, for other processes."""
        return ImagePreparer(
            self._together, self._model.dtype, self._colour if self._params.pad_to_square else None
        )

    def prepare_images(self, images: Sequence[np.ndarray]) -> list[Inputs]:
        """Pad if asked, resize and normalise each image; needs no device and may be called in any thread."""
        return self.preparer(images)

    def prepare_texts(self, texts: Sequence[str]) -> list[Words]:
        """Tokenise. A text beyond the context is cut and keeps its end token, because that is where CLIP pools."""
        tokenizer = self._texts.here()
        if not texts:
            return []
        whole = tokenizer(list(texts), verbose=False)["input_ids"]
        cut = tokenizer(list(texts), truncation=True, max_length=self._context)["input_ids"]
        return [
            Words(list(ids), len(all_ids) > self._context)
            for ids, all_ids in zip(cut, whole, strict=True)
        ]

    def encode_images(self, ready: Sequence[Inputs]) -> np.ndarray:
        """Features (N, width) float16 of prepared images."""
        features = np.zeros((len(ready), self.width), np.float16)
        for indices in group_by_shape(ready):
            features[indices] = self._batching.run(
                [ready[index] for index in indices], self._of_images
            )
        return features

    def encode_texts(self, ready: Sequence[Words]) -> np.ndarray:
        """Features (N, width) float16 of tokenised texts."""
        features = self._batching.run(ready, self._of_texts)
        return np.stack(features) if features else np.zeros((0, self.width), np.float16)

    def batch_size(self) -> int:
        """Images at once on this device; see `c2vl.prompts.engines.batching`."""
        return self._batching.size(
            lambda count: self._of_images(
                self.prepare_images([np.zeros((336, 336, 3), np.uint8)]) * count
            )
        )

    def _of_images(self, ready: Sequence[Inputs]) -> list[np.ndarray]:
        import torch

        with torch.inference_mode():
            return list(
                self._finish(self._model.get_image_features(**to_batch(ready, self._device)))
            )

    def _of_texts(self, ready: Sequence[Words]) -> list[np.ndarray]:
        import torch

        longest = self._context if self._filled else max(len(words.ids) for words in ready)
        ids = torch.full((len(ready), longest), self._pad)
        mask = torch.zeros_like(ids)
        for row, words in enumerate(ready):
            ids[row, : len(words.ids)], mask[row, : len(words.ids)] = (
                torch.tensor(words.ids, dtype=torch.long),
                1,
            )
        inputs = {"input_ids": ids} | ({} if self._filled else {"attention_mask": mask})
        with torch.inference_mode():
            features = self._model.get_text_features(
                **{name: value.to(self._device) for name, value in inputs.items()}
            )
        return list(self._finish(features))

    def _finish(self, output: Any) -> np.ndarray:
        """The pooled and projected features, normalised if asked, in the format they are stored in."""
        import torch

        features = (
            output if isinstance(output, torch.Tensor) else output.pooler_output
        )  # (N, width)
        features = features.float()
        if self._params.normalise:
            features = torch.nn.functional.normalize(features, dim=-1)
        return features.cpu().numpy().astype(np.float16)
