"""Architectures of the four tiny engines: classes of transformers with about a million parameters.

The sizes fit a budget of minutes on one core. Captioner and encoder have the same vision tower, so
one trained tower serves both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import (
        CLIPModel,
        GroundingDinoForObjectDetection,
        LlavaForConditionalGeneration,
        PreTrainedTokenizerBase,
        VitPoseForPoseEstimation,
    )

DETECTOR_SIZE = (108, 192)  # height, width of the detector's input
POSE_SIZE = (64, 48)  # height, width of a person's crop; ViTPose's proportions
TOWER_SIZE = 64  # pixels on each side of a crop
PATCH = 8
PATCHES = (TOWER_SIZE // PATCH) ** 2
WIDTH = 128  # width of the vision tower
FEATURES = 64  # width of the space that images and texts share
QUERIES = 8
POSE_WIDTH = 96
POSE_JOINTS = (  # COCO's
    "nose",
    *(
        f"{side} {part}"
        for part in (
            *("eye", "ear", "shoulder", "elbow", "wrist"),
            *("hip", "knee", "ankle"),
        )
        for side in ("left", "right")
    ),
)


def vision_config() -> dict[str, Any]:
    """Settings of the vision tower of captioner and encoder."""
    return {
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "image_size": TOWER_SIZE,
        "patch_size": PATCH,
        "projection_dim": FEATURES,
    }


def build_detector() -> GroundingDinoForObjectDetection:
    """An untrained Grounding DINO: ConvNeXt, two levels, one encoder and two decoder layers."""
    import torch
    from transformers import (
        BertConfig,
        ConvNextConfig,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
    )

    from c2vl.studio.engines.tokenizers import BERT_SIZE

    backbone: dict[str, Any] = {
        "hidden_sizes": [24, 48, 96],
        "depths": [1, 2, 2],
        "num_stages": 3,
        "layer_scale_init_value": 1.0,  # the default of 1e-6 needs longer than our training
        "drop_path_rate": 0.0,
        "out_features": ["stage2", "stage3"],
    }
    text = BertConfig(
        vocab_size=BERT_SIZE,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    config = GroundingDinoConfig(
        backbone_config=ConvNextConfig(**backbone),
        text_config=text,
        num_queries=QUERIES,
        num_feature_levels=2,
        two_stage=True,
        d_model=64,  # a multiple of 32, or the position embedding fails
        encoder_layers=1,
        encoder_attention_heads=4,
        encoder_ffn_dim=128,
        decoder_layers=2,  # with one layer, transformers 5.23 fails
        decoder_attention_heads=4,
        decoder_ffn_dim=128,
        dropout=0.0,
        fusion_droppath=0.0,
        auxiliary_loss=True,
        class_cost=2.0,
        max_text_len=16,
    )
    model = GroundingDinoForObjectDetection(config)
    with torch.no_grad():
        # Class logits are dot products of layer-normed vectors; start them small.
        model.model.decoder.layer_norm.weight.fill_(0.25)
        model.model.enc_output_norm.weight.fill_(0.25)
    return model


def build_pose() -> VitPoseForPoseEstimation:
    """An untrained ViTPose: a ViT of four layers, and heatmaps of half the crop's size."""
    from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation

    backbone: dict[str, Any] = {
        "image_size": POSE_SIZE,
        "patch_size": (PATCH, PATCH),
        "hidden_size": POSE_WIDTH,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "out_indices": [4],
    }
    config = VitPoseConfig(
        backbone_config=VitPoseBackboneConfig(**backbone),
        scale_factor=4,
        id2label=dict(enumerate(POSE_JOINTS)),
        label2id={name: number for number, name in enumerate(POSE_JOINTS)},
    )
    return VitPoseForPoseEstimation(config)


def build_encoder(tokenizer: PreTrainedTokenizerBase) -> CLIPModel:
    """An untrained CLIP over `tokenizer`."""
    from transformers import CLIPConfig, CLIPModel

    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 96,
        "intermediate_size": 192,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "max_position_embeddings": 77,
        "projection_dim": FEATURES,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,  # CLIP pools a text at this token
        "pad_token_id": tokenizer.pad_token_id,
    }
    return CLIPModel(
        CLIPConfig(text_config=text, vision_config=vision_config(), projection_dim=FEATURES)
    )


def build_captioner(tokenizer: PreTrainedTokenizerBase) -> LlavaForConditionalGeneration:
    """An untrained LLaVA over `tokenizer`: the tower, a projector and a Llama of two layers."""
    from transformers import (
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
    )

    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=2 * WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        tie_word_embeddings=False,
    )
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**vision_config()),
        text_config=text,
        image_token_index=tokenizer.get_vocab()["<image>"],
        image_seq_length=PATCHES,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )
    return LlavaForConditionalGeneration(config)
