"""The paper's engines at full size with random weights: for timing only.

The configurations are those of IDEA-Research/grounding-dino-base, llava-hf/llava-1.5-7b-hf and
openai/clip-vit-large-patch14-336. The tokenizers are the shipped tiny ones, whose vocabularies fit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    CLIPConfig,
    CLIPModel,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    SwinConfig,
)

TINY = Path(__file__).resolve().parents[1] / "checkpoints/tiny"
VISION = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
}
VISION |= {"image_size": 336, "patch_size": 14, "projection_dim": 768}


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


def captioner_config(image_token: int = 32000, end: int = 2) -> LlavaConfig:
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
        "eos_token_id": end,
    }
    vision = {"model_type": "clip_vision_model", **VISION, "vocab_size": 32000}
    return LlavaConfig(
        vision_config=vision,
        text_config=LlamaConfig(**text),
        image_token_index=image_token,
        image_seq_length=576,
    )


def encoder_config(start: int = 49406, end: int = 49407) -> CLIPConfig:
    """Configuration of CLIP ViT-L/14@336px."""
    text = {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
    }
    text |= {"projection_dim": 768, "bos_token_id": start, "eos_token_id": end, "vocab_size": 49408}
    return CLIPConfig(text_config=text, vision_config=VISION, projection_dim=768)


def build(engine: str, device: torch.device, dtype: torch.dtype) -> Any:
    """The model of an engine in eval mode with random weights, created on `device`."""
    tokenizer = AutoTokenizer.from_pretrained(TINY / engine)
    with torch.device(device):
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            if engine == "detector":
                return GroundingDinoForObjectDetection(detector_config()).eval()
            if engine == "captioner":
                image = tokenizer.convert_tokens_to_ids("<image>")
                return LlavaForConditionalGeneration(
                    captioner_config(image, tokenizer.eos_token_id)
                ).eval()
            return CLIPModel(encoder_config(tokenizer.bos_token_id, tokenizer.eos_token_id)).eval()
        finally:
            torch.set_default_dtype(before)


def processor(engine: str) -> Any:
    """The processor of an engine: the published picture sizes, the tiny tokenizer."""
    from transformers import (
        CLIPImageProcessorPil,
        CLIPProcessor,
        GroundingDinoImageProcessorPil,
        GroundingDinoProcessor,
        LlavaProcessor,
    )

    tokenizer = AutoTokenizer.from_pretrained(TINY / engine)
    if engine == "detector":
        return GroundingDinoProcessor(GroundingDinoImageProcessorPil(), tokenizer)
    size = {"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}}
    pictures = CLIPImageProcessorPil(**size)
    if engine == "encoder":
        return CLIPProcessor(pictures, tokenizer)
    tokens = {
        "patch_size": 14,
        "num_additional_image_tokens": 1,
        "vision_feature_select_strategy": "default",
    }
    return LlavaProcessor(pictures, tokenizer, **tokens)
