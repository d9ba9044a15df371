"""Small image-text and video-text encoders of transformers with random weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from small_detectors import letters

SIDE, WIDTH, CONTEXT = 32, 16, 16
LAYERS = {
    "hidden_size": WIDTH,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
TOKENS = {"vocab_size": 32, "pad_token_id": 0, "bos_token_id": 28, "eos_token_id": 29}
TEXT = {**LAYERS, **TOKENS, "max_position_embeddings": CONTEXT, "initializer_range": 0.5}
VISION = {**LAYERS, "image_size": SIDE, "patch_size": 8, "initializer_range": 0.5}
PROJECTED = {"projection_dim": 8}


def _clip() -> dict[str, Any]:
    return {"text_config": TEXT, "vision_config": VISION, **PROJECTED}


def _altclip() -> dict[str, Any]:
    text = {**TEXT, "max_position_embeddings": CONTEXT + 1, "project_dim": WIDTH}
    return {"text_config": text, "vision_config": VISION, **PROJECTED}


def _align() -> dict[str, Any]:
    vision = {
        "image_size": SIDE,
        "width_coefficient": 0.1,
        "depth_coefficient": 0.1,
        "hidden_dim": WIDTH,
        "depth_divisor": 4,
    }
    return {
        "text_config": {**TEXT, "max_position_embeddings": 64},
        "vision_config": vision,
        "projection_dim": 32,  # that of its vision tower
    }


def _groupvit() -> dict[str, Any]:
    vision = {
        **VISION,
        "depths": [1, 1],
        "num_hidden_layers": 2,
        "num_group_tokens": [4, 0],
        "num_output_groups": [4, 2],
    }
    return {"text_config": TEXT, "vision_config": vision, **PROJECTED}


def _flava() -> dict[str, Any]:
    return {
        "text_config": TEXT,
        "image_config": VISION,
        "multimodal_config": LAYERS,
        "image_codebook_config": {"hidden_size": 8, "vocab_size": 8, "num_groups": 1},
        "projection_dim": WIDTH,
        "hidden_size": WIDTH,
    }


def _siglip2() -> dict[str, Any]:
    vision = {**LAYERS, "num_patches": 16, "patch_size": 8}
    return {"text_config": _siglip_text(64), "vision_config": vision}


def _siglip_text(context: int) -> dict[str, Any]:
    return {**TEXT, "max_position_embeddings": context, "projection_size": WIDTH}


def _xclip() -> dict[str, Any]:
    vision = {
        **VISION,
        "num_frames": 4,
        "mit_hidden_size": 8,
        "mit_intermediate_size": 16,
        "mit_num_hidden_layers": 1,
        "mit_num_attention_heads": 2,
    }
    return {"text_config": TEXT, "vision_config": vision, **PROJECTED, "prompt_layers": 1}


# Class of the model, and what its config needs to be small.
IMAGES: Mapping[str, Callable[[], dict[str, Any]]] = {
    "CLIP": _clip,
    "MetaClip2": _clip,
    "ChineseCLIP": _clip,
    "AltCLIP": _altclip,
    "Align": _align,
    "Aimv2": lambda: {"text_config": TEXT, "vision_config": VISION, **PROJECTED},
    "Blip": lambda: {
        "text_config": {**TEXT, "encoder_hidden_size": WIDTH},
        "vision_config": VISION,
        **PROJECTED,
    },
    "CLIPSeg": _clip,
    "Flava": _flava,
    "GroupViT": _groupvit,
    "OwlViT": _clip,
    "Owlv2": _clip,
    "Siglip": lambda: {"text_config": _siglip_text(CONTEXT), "vision_config": VISION},
    "Siglip2": _siglip2,
}
VIDEOS: Mapping[str, Callable[[], dict[str, Any]]] = {"XCLIP": _xclip}
PROCESSORS = {"MetaClip2": "CLIP", "Aimv2": "CLIP", "GroupViT": "CLIP"}
IMAGE_PROCESSORS = {"AltCLIP": "CLIP", "Align": "EfficientNet", "CLIPSeg": "ViT", "XCLIP": "CLIP"}


def build_encoder(name: str, folder: Path, **tokenizer: Any) -> None:
    """Write a small random encoder `name` with its processor to `folder`.

    Args:
        name: of the model's class, without `Model`.
        folder: to write to.
        tokenizer: arguments of its tokenizer.
    """
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**{**IMAGES, **VIDEOS}[name]())
    model = getattr(transformers, f"{name}Model")(config)
    if name == "Align":  # its random convolutions let next to nothing through
        with torch.no_grad():
            for weight in model.vision_model.parameters():
                weight.mul_(30 if weight.dim() == 4 else 1)
    model.save_pretrained(folder)
    if name.startswith("Siglip"):  # as the tokenizers of the published checkpoints
        tokenizer = {"model_input_names": ["input_ids"]} | tokenizer
    words = letters(64 if name in ("Siglip2", "Align") else CONTEXT, **tokenizer)
    images = IMAGE_PROCESSORS.get(name) or PROCESSORS.get(name, name)
    square = {"size": {"height": SIDE, "width": SIDE}}
    if images in ("CLIP", "ChineseCLIP", "Flava"):
        square |= {"crop_size": {"height": SIDE, "width": SIDE}}
    if name == "Siglip2":
        square = {"patch_size": 8, "max_num_patches": 16}
    pixels = getattr(transformers, f"{images}ImageProcessorPil")(**square)
    kind = getattr(transformers, f"{PROCESSORS.get(name, name)}Processor")
    kind(pixels, words).save_pretrained(folder)
