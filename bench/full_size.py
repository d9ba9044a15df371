"""Checkpoints of the engines at full size without their weights, for timing without a network.

The configurations are those of IDEA-Research/grounding-dino-base, llava-hf/llava-1.5-7b-hf,
Qwen/Qwen3-VL-8B-Instruct and openai/clip-vit-large-patch14-336. The tokenizers are the shipped tiny
ones, whose vocabularies fit. `write_checkpoint` writes a folder with all files but the weights;
inside `random_weights`, transformers makes random ones on the device instead of reading them, so
that c2vl loads the folder as any other.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import transformers
from safetensors.torch import save_file
from transformers import (
    AutoConfig,
    AutoTokenizer,
    CLIPConfig,
    GroundingDinoConfig,
    LlamaConfig,
    LlavaConfig,
    PreTrainedConfig,
    Qwen3VLConfig,
    SwinConfig,
)

ENGINES = ("detector", "llava", "qwen3-vl", "encoder")
TINY = Path(__file__).resolve().parents[1] / "checkpoints/tiny"
SHIPPED = {"detector": "detector", "llava": "captioner", "qwen3-vl": "captioner"}
SHIPPED |= {"encoder": "encoder"}
KINDS = ("AutoModelForZeroShotObjectDetection", "AutoModelForImageTextToText", "AutoModel")
VISION = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
}
VISION |= {"image_size": 336, "patch_size": 14, "projection_dim": 768}
QWEN_TOKENS = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>")
QWEN_TOKENS += ("<|image_pad|>", "<|video_pad|>")
QWEN_CHAT = (  # of one turn
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% for part in message.content %}{% if part.type == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}{% endfor %}"
    "<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)


def detector_config() -> GroundingDinoConfig:
    """Configuration of Grounding DINO with Swin-B."""
    swin = {
        "embed_dim": 128,
        "depths": [2, 2, 18, 2],
        "num_heads": [4, 8, 16, 32],
        "window_size": 12,
        "image_size": 384,
    }
    return GroundingDinoConfig(backbone_config=SwinConfig(**swin, out_indices=[2, 3, 4]))


def llava_config(tokenizer: Any) -> LlavaConfig:
    """Configuration of LLaVA-1.5-7B: Vicuna with CLIP ViT-L/14@336px."""
    text = {
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
    }
    text |= {
        "vocab_size": 32064,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "eos_token_id": tokenizer.eos_token_id,
    }
    vision = {"model_type": "clip_vision_model", **VISION, "vocab_size": 32000}
    return LlavaConfig(
        vision_config=vision,
        text_config=LlamaConfig(**text),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=576,
    )


def qwen_config(tokenizer: Any, small: bool) -> Qwen3VLConfig:
    """Configuration of Qwen3-VL-8B, or of a small model of its class."""
    text = {"hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36}
    text |= {"num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128}
    vision = {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16}
    vision |= {"out_hidden_size": 4096, "deepstack_visual_indexes": [8, 16, 24]}
    if small:
        text |= {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2}
        text |= {"num_attention_heads": 2, "num_key_value_heads": 1}
        vision |= {"depth": 2, "hidden_size": 64, "intermediate_size": 64, "num_heads": 2}
        vision |= {"out_hidden_size": 64, "deepstack_visual_indexes": [0]}
    text |= {"vocab_size": 1024 if small else 151936, "max_position_embeddings": 262144}
    rope = {"rope_type": "default", "rope_theta": 5e6, "mrope_interleaved": True}
    text |= {
        "rope_parameters": {**rope, "mrope_section": [24, 20, 20]},
        "eos_token_id": tokenizer.convert_tokens_to_ids("<|im_end|>"),
    }
    ids = {
        f"{role}_token_id": tokenizer.convert_tokens_to_ids(f"<|{token}|>")
        for role, token in (
            ("image", "image_pad"),
            ("video", "video_pad"),
            ("vision_start", "vision_start"),
            ("vision_end", "vision_end"),
        )
    }
    return Qwen3VLConfig(text_config=text, vision_config=vision, **ids)


def encoder_config(tokenizer: Any) -> CLIPConfig:
    """Configuration of CLIP ViT-L/14@336px."""
    text = {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
    }
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    text |= {"projection_dim": 768, **ends, "vocab_size": 49408}
    return CLIPConfig(text_config=text, vision_config=VISION, projection_dim=768)


def config_of(engine: str, tokenizer: Any, small: bool) -> PreTrainedConfig:
    """Configuration of an engine at its published size.

    Args:
        engine: one of `ENGINES`.
        tokenizer: gives the ids of special tokens.
        small: the shipped engine's size instead, or one like it.
    """
    if engine == "qwen3-vl":
        return qwen_config(tokenizer, small)
    if small:
        config = AutoConfig.from_pretrained(TINY / SHIPPED[engine])
        if engine == "llava":  # as at full size, most tokens are no word of the tokenizer
            config.text_config.vocab_size = 1024
        return config
    if engine == "detector":
        return detector_config()
    return llava_config(tokenizer) if engine == "llava" else encoder_config(tokenizer)


def write_checkpoint(engine: str, folder: Path, small: bool = False) -> None:
    """Write an engine's checkpoint into `folder`; its file of weights is empty.

    Args:
        engine: one of `ENGINES`.
        folder: need not exist.
        small: write the shipped engine's size, or one like it.
    """
    shipped = TINY / SHIPPED[engine]
    tokenizer = AutoTokenizer.from_pretrained(shipped)
    if engine == "qwen3-vl":
        tokenizer.add_special_tokens({"additional_special_tokens": list(QWEN_TOKENS)})
    config_of(engine, tokenizer, small).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if engine == "qwen3-vl":
        transformers.Qwen2VLImageProcessorPil(
            patch_size=16,
            image_mean=[0.5] * 3,
            image_std=[0.5] * 3,
            size={"shortest_edge": 65536 // (16 if small else 1), "longest_edge": 2**24},
        ).save_pretrained(folder)
        (folder / "chat_template.jinja").write_text(QWEN_CHAT, encoding="utf-8")
        (folder / "processor_config.json").write_text('{"processor_class": "Qwen3VLProcessor"}')
    elif small:
        shutil.copy(shipped / "processor_config.json", folder)
    else:
        _processor(engine, tokenizer).save_pretrained(folder)
    save_file({}, folder / "model.safetensors")


def _processor(engine: str, tokenizer: Any) -> Any:
    """The processor of an engine, with the published sizes of pictures."""
    if engine == "detector":
        pictures = transformers.GroundingDinoImageProcessorPil()
        return transformers.GroundingDinoProcessor(pictures, tokenizer)
    size = {"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}}
    pictures = transformers.CLIPImageProcessorPil(**size)
    if engine == "encoder":
        return transformers.CLIPProcessor(pictures, tokenizer)
    tokens = {
        "patch_size": 14,
        "num_additional_image_tokens": 1,
        "vision_feature_select_strategy": "default",
    }
    return transformers.LlavaProcessor(pictures, tokenizer, **tokens)


@contextmanager
def random_weights(device: torch.device) -> Iterator[None]:
    """In this block, models of transformers get random weights, made on `device`.

    A model of 8 billion weights needs no file and no memory of the host, and takes seconds.
    """

    def made(kind: Any, folder: str, *, dtype: torch.dtype, **_: object) -> Any:
        torch.manual_seed(0)
        config = AutoConfig.from_pretrained(folder)
        with torch.device(device):
            return kind.from_config(config, dtype=dtype).eval()

    with ExitStack() as patches:
        for kind in (getattr(transformers, name) for name in KINDS):
            patches.enter_context(patch.object(kind, "from_pretrained", partial(made, kind)))
        yield
