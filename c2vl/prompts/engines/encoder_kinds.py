"""Which encoders can be used: those with image or video features and text features of one space."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from c2vl.core.errors import UserError
from c2vl.prompts.engines.checkpoint_config import named, read_config
from c2vl.prompts.engines.image_inputs import ImagePreparer
from c2vl.prompts.engines.pretrained import load_pretrained
from c2vl.prompts.engines.weights import Weights

if TYPE_CHECKING:
    import torch

    from c2vl.prompts.engines.model_inputs import Inputs

VIDEO = ("xclip",)  # kinds of model that read the frames of a clip at once
XCLIP_FRAMES = 8  # where its config names none
FIRST_TOKEN = ("flava",)  # their features are those of the first token
USABLE = "CLIP, SigLIP, SigLIP 2 or X-CLIP"


def frames_of(config: Any) -> int | None:
    """Frames that a video encoder reads at once; None: it reads single images."""
    return int(config.vision_config.num_frames) if config.model_type in VIDEO else None


def frames_in(folder: Path) -> int | None:
    """As `frames_of`, of a checkpoint's folder; transformers is not imported, which takes long."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if config.get("model_type") not in VIDEO:
            return None
        return int(config.get("vision_config", {}).get("num_frames", XCLIP_FRAMES))
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None  # loading says what is wrong


def load_encoder(weights: Weights, dtype: torch.dtype, device: torch.device) -> tuple[Any, Any]:
    """Load model and processor of an encoder.

    Raises:
        UserError: the checkpoint has no image and text features of one space, or cannot be loaded.
    """
    from transformers import AutoModel

    config = read_config(weights)
    try:
        kind: Any = AutoModel._model_mapping[type(config)]
    except KeyError:
        kind = object
    sees = "get_video_features" if frames_of(config) else "get_image_features"
    if not (hasattr(kind, "get_text_features") and hasattr(kind, sees)):
        raise UserError(
            f"'{weights.name}' is a {named(config)}, which is no encoder of images and texts; use "
            f"{USABLE} (docs/engines.md)."
        )
    return load_pretrained(AutoModel, weights, dtype, device)


@dataclass(frozen=True)
class ClipPreparer:
    """Turns clips, each a list of images, into a video encoder's inputs.

    Attributes:
        images: prepares single images.
        frames: how many the encoder reads. They are the middles of equal parts of a clip's images;
            of fewer images some come more than once.
    """

    images: ImagePreparer
    frames: int

    def __call__(self, clips: Sequence[Sequence[np.ndarray]]) -> list[Inputs]:
        """The inputs of each clip, (1, T, C, H, W)."""
        import torch

        made: list[Inputs] = []
        for clip in clips:
            items = self.images(clip)
            middles = [(2 * at + 1) * len(clip) // (2 * self.frames) for at in range(self.frames)]
            chosen = [items[at]["pixel_values"] for at in middles]
            # X-CLIP's image processor may be that of VideoMAE, which gives (1, 1, C, H, W).
            flat = [one.reshape(1, 1, *one.shape[-3:]) for one in chosen]
            made.append({"pixel_values": torch.cat(flat, dim=1)})
        return made


def visual_features(model: Any, inputs: Mapping[str, torch.Tensor]) -> Any:
    """The image or video features that a model computes."""
    if model.config.model_type in VIDEO:
        return model.get_video_features(**inputs)
    return model.get_image_features(**inputs)


def pooled(model: Any, output: Any) -> torch.Tensor:
    """The features (N, width) in what `get_…_features` returned.

    Raises:
        ValueError: they are no vectors.
    """
    features: torch.Tensor = output if hasattr(output, "dim") else output.pooler_output
    if model.config.model_type in FIRST_TOKEN:
        features = features[:, 0]
    if features.dim() != 2:
        raise ValueError(f"its features have the shape {tuple(features.shape)}, not (N, width)")
    return features
