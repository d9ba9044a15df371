"""Small detectors of transformers with random weights, one of each kind, as checkpoint folders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers

TINY = Path(__file__).resolve().parents[2] / "checkpoints/tiny"
SIDE = 64  # pixels of the images that the small models see
LABELS = {0: "person"}
WIDTH = 32
CLIP_TEXT = {
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "max_position_embeddings": 16,
    "pad_token_id": 0,
    "bos_token_id": 28,
    "eos_token_id": 29,
}


def resnet() -> Any:
    """A backbone with strides of 8, 16 and 32."""
    return transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )


def _detr() -> dict[str, Any]:
    return {
        "backbone_config": resnet(),
        "num_queries": 6,
        "encoder_layers": 1,
        "decoder_layers": 2,
        "encoder_ffn_dim": WIDTH,
        "decoder_ffn_dim": WIDTH,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "d_model": WIDTH,
    }


def _rt_detr(backbone: Any = None) -> dict[str, Any]:
    return {
        "backbone_config": backbone
        or transformers.RTDetrResNetConfig(
            embedding_size=8,
            hidden_sizes=[8, 16, 24, 32],
            depths=[1, 1, 1, 1],
            layer_type="basic",
            out_features=["stage2", "stage3", "stage4"],
        ),
        "encoder_hidden_dim": WIDTH,
        "encoder_in_channels": [16, 24, 32],
        "encoder_ffn_dim": WIDTH,
        "encoder_attention_heads": 2,
        "d_model": WIDTH,
        "num_queries": 6,
        "decoder_in_channels": [WIDTH] * 3,
        "decoder_ffn_dim": WIDTH,
        "decoder_layers": 2,
        "decoder_attention_heads": 2,
    }


def _hgnet() -> Any:
    return transformers.HGNetV2Config(
        stem_channels=[3, 8, 8],
        stage_in_channels=[8, 16, 16, 24],
        stage_mid_channels=[8, 8, 8, 8],
        stage_out_channels=[16, 16, 24, 32],
        stage_num_blocks=[1, 1, 1, 1],
        stage_downsample=[False, True, True, True],
        stage_light_block=[False, False, True, True],
        stage_kernel_size=[3, 3, 5, 5],
        stage_numb_of_layers=[2, 2, 2, 2],
        embedding_size=8,
        hidden_sizes=[16, 16, 24, 32],
        depths=[1, 1, 1, 1],
        out_features=["stage2", "stage3", "stage4"],
    )


def _yolos() -> dict[str, Any]:
    return {
        "hidden_size": WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": WIDTH,
        "image_size": [SIDE, SIDE],
        "num_detection_tokens": 6,
    }


def _owl() -> dict[str, Any]:
    vision = {**CLIP_TEXT, "image_size": SIDE, "patch_size": 16}
    return {"text_config": CLIP_TEXT, "vision_config": vision, "projection_dim": 16}


def _omdet() -> dict[str, Any]:
    return {
        "text_config": transformers.CLIPTextConfig(
            **{**CLIP_TEXT, "max_position_embeddings": 77}, projection_dim=16
        ),
        "backbone_config": resnet(),
        "use_timm_backbone": False,
        "apply_layernorm_after_vision_backbone": False,
        "image_size": SIDE,
        "num_queries": 6,
        "class_embed_dim": 16,
        "text_projection_in_dim": 16,
        "text_projection_out_dim": 16,
        "task_encoder_hidden_dim": WIDTH,
        "encoder_hidden_dim": WIDTH,
        "decoder_hidden_dim": WIDTH,
        "vision_features_channels": [WIDTH] * 3,
        "backbone_feat_channels": [16, 24, 32],
        "encoder_in_channels": [16, 24, 32],
        "encoder_attention_heads": 2,
        "encoder_dim_feedforward": WIDTH,
        "decoder_num_heads": 2,
        "decoder_num_layers": 2,
        "decoder_dim_feedforward": WIDTH,
    }


def _lw_detr(backbone: Any) -> dict[str, Any]:
    return {
        "projector_scale_factors": [1.0],
        "backbone_config": backbone,
        "d_model": WIDTH,
        "num_queries": 6,
        "decoder_layers": 2,
        "decoder_ffn_dim": WIDTH,
        "decoder_self_attention_heads": 2,
        "decoder_cross_attention_heads": 2,
        "group_detr": 1,
    }


def _grounding() -> dict[str, Any]:
    from c2vl.studio.engines.checkpoints import build

    config: dict[str, Any] = build("detector").config.to_dict()
    return {k: v for k, v in config.items() if k not in ("model_type", "architectures")}


def _deimv2() -> dict[str, Any]:
    return _rt_detr(_hgnet())


# Class of the model and what its config needs to be small.
OPEN: Mapping[str, Callable[[], dict[str, Any]]] = {
    "GroundingDino": _grounding,
    "MMGroundingDino": _grounding,
    "OwlViT": _owl,
    "Owlv2": _owl,
    "OmDetTurbo": _omdet,
}
FIXED: Mapping[str, Callable[[], dict[str, Any]]] = {
    "Detr": _detr,
    "ConditionalDetr": _detr,
    "DeformableDetr": lambda: {**_detr(), "num_feature_levels": 3},
    "DabDetr": lambda: {**_detr(), "hidden_size": WIDTH},
    "Yolos": _yolos,
    "RTDetr": _rt_detr,
    "RTDetrV2": _rt_detr,
    "DFine": lambda: _rt_detr(_hgnet()),
    "Deimv2": _deimv2,
    "LwDetr": lambda: _lw_detr(
        transformers.LwDetrViTConfig(
            hidden_size=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=SIDE,
            pretrain_image_size=SIDE,
            patch_size=16,
            window_block_indices=[0],
            num_windows=4,
            out_features=["stage2"],
        )
    ),
    "RfDetr": lambda: _lw_detr(
        transformers.RfDetrDinov2Config(
            hidden_size=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=SIDE,
            patch_size=16,
            num_windows=2,
            out_features=["stage2"],
        )
    ),
}


def build_detector(name: str, folder: Path, labels: Mapping[int, str] = LABELS) -> None:
    """Write a small random detector `name` with its processor to `folder`."""
    torch.manual_seed(0)
    settings = {**OPEN, **FIXED}[name]()
    if name in FIXED:
        settings |= {"id2label": dict(labels), "label2id": {v: k for k, v in labels.items()}}
    config = getattr(transformers, f"{name}Config")(**settings)
    model = getattr(transformers, f"{name}ForObjectDetection")(config)
    model.save_pretrained(folder)
    _processor(name).save_pretrained(folder)
    if name == "RfDetr":  # its own image processor needs torchvision
        path = folder / "preprocessor_config.json"
        path.write_text(path.read_text().replace("DeformableDetrImage", "RfDetrImage"))


def _processor(name: str) -> Any:
    square = {"height": SIDE, "width": SIDE}
    if name in ("GroundingDino", "MMGroundingDino"):
        return transformers.AutoProcessor.from_pretrained(TINY / "detector", backend="pil")
    if name in FIXED:
        images = {
            "ConditionalDetr": "ConditionalDetr",
            "DeformableDetr": "DeformableDetr",
            "DabDetr": "ConditionalDetr",
            "Detr": "Detr",
            "Yolos": "Yolos",
            "LwDetr": "DeformableDetr",
            "RfDetr": "DeformableDetr",
        }.get(name, "RTDetr")
        kind = getattr(transformers, f"{images}ImageProcessorPil")
        fixed = name in ("RfDetr", "LwDetr", "RTDetr", "RTDetrV2", "DFine", "Deimv2")
        return kind(size=square if fixed else {"shortest_edge": SIDE, "longest_edge": 2 * SIDE})
    tokenizer = letters(77 if name == "OmDetTurbo" else 16)
    if name == "OmDetTurbo":
        return Both(transformers.DetrImageProcessorPil(size=square), tokenizer)
    kind = getattr(transformers, f"{name}ImageProcessorPil")
    return getattr(transformers, f"{name}Processor")(kind(size=square), tokenizer)


def letters(context: int, **arguments: Any) -> Any:
    """A tokenizer of single letters with CLIP's order: the end token has the highest number."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["<pad>", "<unk>", *"abcdefghijklmnopqrstuvwxyz", "<s>", "</s>"]
    numbers = {word: number for number, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[(word, numbers[word]) for word in ("<s>", "</s>")]
    )
    special = {"pad": "<pad>", "unk": "<unk>", "bos": "<s>", "eos": "</s>"}
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=context,
        **{f"{name}_token": word for name, word in special.items()},
        **arguments,
    )


class Both:
    """Image processor and tokenizer, for a processor that needs torchvision to be made."""

    def __init__(self, *parts: Any) -> None:
        self._parts = parts

    def save_pretrained(self, folder: Path) -> None:
        """Write both."""
        for part in self._parts:
            part.save_pretrained(folder)
