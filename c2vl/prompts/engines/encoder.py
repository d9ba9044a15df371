"""The encoder: turns crops and answers into features of one space (CLIP, SigLIP, X-CLIP, …)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from c2vl.prompts.engines.batched_processor import BatchedProcessor
from c2vl.prompts.engines.batching import Batching
from c2vl.prompts.engines.encoder_kinds import (
    USABLE,
    ClipPreparer,
    frames_in,
    frames_of,
    load_encoder,
    pooled,
    visual_features,
)
from c2vl.prompts.engines.encoder_texts import Texts, TokenIds
from c2vl.prompts.engines.engine_params import EngineParams, torch_dtype
from c2vl.prompts.engines.fingerprints import fingerprint
from c2vl.prompts.engines.image_inputs import ImagePreparer
from c2vl.prompts.engines.model_inputs import ThreadLocalProcessor, group_by_shape, to_batch
from c2vl.prompts.engines.pad_to_square import mean_colour
from c2vl.prompts.engines.sanity import SENTENCES, require_difference, require_words, trying

if TYPE_CHECKING:
    import torch

    from c2vl.prompts.engines.model_inputs import Inputs

TEST_SIZE = 64  # pixels
CPU_BATCH, MAX_BATCH = 32, 256  # items; on a CPU, and the most that is tried on a GPU


class EncoderParams(EngineParams):
    """Section `embed.encoder`.

    Attributes:
        normalise: give features unit length.
        pad_to_square: pad crops with the mean colour. Otherwise CLIP's processor cuts out the
            middle square, without head and feet of a standing person, and SigLIP's stretches.
    """

    ENGINE: ClassVar[str] = "encoder"
    ADAPTER_VERSION: ClassVar[int] = 2

    normalise: bool = True
    pad_to_square: bool = False

    def frames(self) -> int | None:
        """Crops of a clip that a video encoder reads at once; None: it reads single crops.

        Raises:
            UserError: the checkpoint is missing, unreachable or incomplete.
        """
        return frames_in(self.resolved().folder)


class Encoder:
    """Image and text features of equal width."""

    def __init__(
        self, params: EncoderParams, model: Any, processor: Any, device: torch.device, key: str
    ) -> None:
        self.fingerprint = key
        self._params, self._model, self._processor, self._device = params, model, processor, device
        name = f"'{params.model}' ({type(model).__name__})"
        instead = f"use {USABLE} (docs/engines.md)"
        with trying(name, "cannot be used as an encoder here", instead):
            self._prepare_for(processor)
            features = self.texts(SENTENCES)[0]
            self.width = features.shape[1]
            require_difference(params.model, features, "sentences")
            seen = self.images(_test_images())
            require_difference(params.model, seen, "images")

    def _prepare_for(self, processor: Any) -> None:
        images = processor.image_processor
        self._inputs = BatchedProcessor(ThreadLocalProcessor(images))
        self._colour = mean_colour(images)
        self._batching = Batching("encoder", self.fingerprint, self._device, CPU_BATCH, MAX_BATCH)
        self._texts = Texts(self._model, processor)
        self.frames = frames_of(self._model.config)
        require_words(self._params.model, processor.tokenizer, " ".join(SENTENCES))

    @classmethod
    def load(cls, params: EncoderParams, device: torch.device | str) -> Encoder:
        """Load checkpoint and processor onto `device`.

        Raises:
            UserError: the checkpoint is missing, unreachable, incomplete or of another kind.
        """
        import torch

        weights, where = params.resolved(), torch.device(device)
        model, processor = load_encoder(weights, torch_dtype(params), where)
        return cls(params, model, processor, where, fingerprint(params))

    def images(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Features (N, width) float16 of images (H, W, 3) uint8 RGB.

        For a video encoder, each is a clip in which nothing moves.
        """
        if self.frames:
            return self.encode_images(self.prepare_clips([[image] for image in images]))
        return self.encode_images(self.prepare_images(images))

    def texts(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Features (N, width) float16, and which texts were cut to the context (N,) bool."""
        ready = self.prepare_texts(texts)
        return self.encode_texts(ready), np.array([words.truncated for words in ready], bool)

    def known_words(self, words: Sequence[str]) -> set[str]:
        """Those of `words` that the tokenizer has as one token."""
        return self._texts.known_words(words)

    @property
    def preparer(self) -> ImagePreparer:
        """What `prepare_images` does, as an object that other processes can run."""
        square = self._colour if self._params.pad_to_square else None
        return ImagePreparer(self._inputs, self._model.dtype, square)

    def prepare_images(self, images: Sequence[np.ndarray]) -> list[Inputs]:
        """Pad if asked, resize and normalise each image; thread-safe, on the CPU."""
        return self.preparer(images)

    @property
    def clip_preparer(self) -> ClipPreparer:
        """What `prepare_clips` does, as an object that other processes can run."""
        assert self.frames is not None
        return ClipPreparer(self.preparer, self.frames)

    def prepare_clips(self, clips: Sequence[Sequence[np.ndarray]]) -> list[Inputs]:
        """Prepare the images of each clip for a video encoder; thread-safe, on the CPU."""
        return self.clip_preparer(clips)

    def prepare_texts(self, texts: Sequence[str]) -> list[TokenIds]:
        """Tokenise texts.

        A text longer than the context is cut and keeps its end token, because CLIP pools there.
        """
        return self._texts.prepare(texts)

    def encode_images(self, ready: Sequence[Inputs]) -> np.ndarray:
        """Features (N, width) float16 of prepared images, or of prepared clips."""
        features = np.zeros((len(ready), self.width), np.float16)
        for indices in group_by_shape(ready):
            features[indices] = self._batching.run(
                [ready[index] for index in indices], self._of_images
            )
        return features

    def encode_texts(self, ready: Sequence[TokenIds]) -> np.ndarray:
        """Features (N, width) float16 of tokenised texts."""
        features = self._batching.run(ready, self._of_texts)
        return np.stack(features) if features else np.zeros((0, self.width), np.float16)

    def batch_size(self) -> int:
        """Images per batch on this device; see `c2vl.prompts.engines.batching`."""
        largest = np.zeros((336, 336, 3), np.uint8)
        one = self.prepare_clips([[largest]]) if self.frames else self.prepare_images([largest])
        return self._batching.size(lambda count: self._of_images(one * count))

    def _of_images(self, ready: Sequence[Inputs]) -> list[np.ndarray]:
        import torch

        with torch.inference_mode():
            return list(self._finish(visual_features(self._model, to_batch(ready, self._device))))

    def _of_texts(self, ready: Sequence[TokenIds]) -> list[np.ndarray]:
        import torch

        inputs = self._texts.batch(ready)
        with torch.inference_mode():
            features = self._model.get_text_features(
                **{name: value.to(self._device) for name, value in inputs.items()}
            )
        return list(self._finish(features))

    def _finish(self, output: Any) -> np.ndarray:
        """Pooled and projected features (N, width) float16, normalised if asked."""
        import torch

        features = pooled(self._model, output).float()
        if self._params.normalise:
            features = torch.nn.functional.normalize(features, dim=-1)
        return features.cpu().numpy().astype(np.float16)


def _test_images() -> list[np.ndarray]:
    """Two images that no encoder may take for one: noise, and a bright half."""
    noise = np.random.default_rng(0).integers(0, 256, (TEST_SIZE, TEST_SIZE, 3), dtype=np.uint8)
    half = np.zeros((TEST_SIZE, TEST_SIZE, 3), np.uint8)
    half[:, TEST_SIZE // 2 :] = 255
    return [noise, half]
