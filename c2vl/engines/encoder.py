"""The encoder: crops and answers to features of one shared space (CLIP)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from c2vl.engines.base import EngineParams, torch_dtype
from c2vl.engines.fingerprints import fingerprint
from c2vl.engines.loading import load_pretrained
from c2vl.engines.weights import resolve

if TYPE_CHECKING:
    import torch


class EncoderParams(EngineParams):
    """Section `embed.encoder`.

    Attributes:
        normalise: give features unit length.
    """

    ENGINE: ClassVar[str] = "encoder"
    ADAPTER_VERSION: ClassVar[int] = 1

    normalise: bool = True


class Encoder:
    """Image and text features of equal width."""

    def __init__(self, params: EncoderParams, model: Any, processor: Any, device: torch.device, key: str) -> None:
        self.fingerprint = key
        self.width = int(model.config.projection_dim)
        self._params, self._model, self._processor, self._device = params, model, processor, device
        self._context = int(model.config.text_config.max_position_embeddings)

    @classmethod
    def load(cls, params: EncoderParams, device: torch.device | str) -> Encoder:
        """Load checkpoint and processor onto `device`.

        Raises:
            UserError: the checkpoint is missing, unreachable, incomplete or of another kind.
        """
        import torch
        from transformers import AutoModel

        weights = resolve(params.model, params.revision)
        model, processor = load_pretrained(AutoModel, weights, torch_dtype(params))
        where = torch.device(device)
        return cls(params, model.to(where).eval(), processor, where, fingerprint(params))

    def images(self, images: list[np.ndarray]) -> np.ndarray:
        """Features (N, width) float16 of images (H, W, 3) uint8 RGB."""
        import torch

        if not images:
            return np.zeros((0, self.width), np.float16)
        inputs = self._processor(images=list(images), return_tensors="pt").to(self._device, self._model.dtype)
        with torch.inference_mode():
            return self._finish(self._model.get_image_features(**inputs))

    def texts(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Features (N, width) float16, and which texts were cut to the context length (N,) bool.

        A cut text keeps its end token, because that is where CLIP pools.
        """
        import torch

        if not texts:
            return np.zeros((0, self.width), np.float16), np.zeros(0, bool)
        tokenizer = self._processor.tokenizer
        lengths = [len(tokens) for tokens in tokenizer(list(texts), verbose=False)["input_ids"]]
        inputs = tokenizer(list(texts), padding=True, truncation=True, max_length=self._context, return_tensors="pt")
        with torch.inference_mode():
            features = self._finish(self._model.get_text_features(**inputs.to(self._device)))
        return features, np.array(lengths) > self._context

    def _finish(self, output: Any) -> np.ndarray:
        """The pooled and projected features, normalised if asked, in the format they are stored in."""
        import torch

        features = output if isinstance(output, torch.Tensor) else output.pooler_output  # (N, width)
        features = features.float()
        if self._params.normalise:
            features = torch.nn.functional.normalize(features, dim=-1)
        return features.cpu().numpy().astype(np.float16)
