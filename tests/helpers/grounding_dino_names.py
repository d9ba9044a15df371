"""Renames tensors of an original Grounding DINO checkpoint to transformers' names.

Tests use it to compare both implementations on equal weights.
"""

from __future__ import annotations

import re
from typing import Any

SWIN = "model.backbone.conv_encoder.model.swin."
ATTENTION = r"(?:encoder\.text_layers|decoder\.layers)\.\d+\.(?:self_attn|ca_text)"

RENAMED = (
    (r"^bert\.", "model.text_backbone."),
    (r"^feat_map\.", "model.text_projection."),
    (r"^input_proj\.", "model.input_proj_vision."),
    (r"^backbone\.0\.patch_embed\.proj\.", f"{SWIN}embeddings.patch_embeddings.projection."),
    (r"^backbone\.0\.patch_embed\.norm\.", f"{SWIN}embeddings.norm."),
    (
        r"^backbone\.0\.norm(\d)\.",
        lambda m: f"model.backbone.conv_encoder.model.hidden_states_norms.stage{int(m[1]) + 1}.",
    ),
    (r"^backbone\.0\.layers\.", f"{SWIN}encoder.layers."),
    (r"(blocks\.\d+)\.norm1\.", r"\1.layernorm_before."),
    (r"(blocks\.\d+)\.norm2\.", r"\1.layernorm_after."),
    (
        r"\.attn\.relative_position_bias_table",
        ".attention.relative_position_bias.relative_position_bias_table",
    ),
    (r"(blocks\.\d+)\.attn\.proj\.", r"\1.attention.o_proj."),
    (r"(blocks\.\d+)\.attn\.([qkv])_proj\.", r"\1.attention.\2_proj."),
    (r"^transformer\.level_embed", "model.level_embed"),
    (r"^transformer\.tgt_embed\.", "model.query_position_embeddings."),
    (r"^transformer\.enc_out_bbox_embed\.", "model.encoder_output_bbox_embed."),
    (r"^transformer\.enc_output", "model.enc_output"),
    (r"^transformer\.decoder\.ref_point_head\.", "model.decoder.reference_points_head."),
    (r"^transformer\.decoder\.norm\.", "model.decoder.layer_norm."),
    (r"^transformer\.", "model."),
    (r"encoder\.text_layers\.(\d+)\.norm1\.", r"encoder.text_layers.\1.layer_norm_before."),
    (r"encoder\.text_layers\.(\d+)\.norm2\.", r"encoder.text_layers.\1.layer_norm_after."),
    (r"encoder\.text_layers\.(\d+)\.linear(\d)\.", r"encoder.text_layers.\1.fc\2."),
    (r"encoder\.text_layers\.(\d+)\.", r"encoder.layers.\1.text_enhancer_layer."),
    (r"encoder\.fusion_layers\.(\d+)\.", r"encoder.layers.\1.fusion_layer."),
    (r"gamma_v$", "vision_param"),
    (r"gamma_l$", "text_param"),
    (r"fusion_layer\.layer_norm_v\.", "fusion_layer.layer_norm_vision."),
    (r"fusion_layer\.layer_norm_l\.", "fusion_layer.layer_norm_text."),
    (
        r"fusion_layer\.attn\.(values_|out_)?v_proj\.",
        lambda m: f"fusion_layer.attn.{m[1] or ''}vision_proj.",
    ),
    (
        r"fusion_layer\.attn\.(values_|out_)?l_proj\.",
        lambda m: f"fusion_layer.attn.{m[1] or ''}text_proj.",
    ),
    (
        r"(model\.encoder\.layers\.\d+)\.(self_attn|norm1|norm2|linear1|linear2)\.",
        r"\1.deformable_layer.\2.",
    ),
    (r"deformable_layer\.norm1\.", "deformable_layer.self_attn_layer_norm."),
    (r"deformable_layer\.norm2\.", "deformable_layer.final_layer_norm."),
    (r"(model\.decoder\.layers\.\d+)\.cross_attn\.", r"\1.encoder_attn."),
    (r"(model\.decoder\.layers\.\d+)\.norm1\.", r"\1.encoder_attn_layer_norm."),
    (r"(model\.decoder\.layers\.\d+)\.norm2\.", r"\1.self_attn_layer_norm."),
    (r"(model\.decoder\.layers\.\d+)\.norm3\.", r"\1.final_layer_norm."),
    (r"(model\.decoder\.layers\.\d+)\.ca_text\.", r"\1.encoder_attn_text."),
    (r"(model\.decoder\.layers\.\d+)\.catext_norm\.", r"\1.encoder_attn_text_layer_norm."),
    (r"(layers\.\d+(?:\.deformable_layer)?)\.linear(\d)\.", r"\1.fc\2."),
)


def renamed(state: dict[str, Any]) -> dict[str, Any]:
    """An original state dict under transformers' names; query-key-value matrices are split."""
    apart: dict[str, Any] = {}
    for name, tensor in state.items():
        if name.endswith(("relative_position_index", "position_ids")) or "pooler" in name:
            continue
        joint = re.fullmatch(r"(.*\.attn\.)qkv\.(weight|bias)", name)
        packed = re.fullmatch(rf"(transformer\.{ATTENTION}\.)in_proj_(weight|bias)", name)
        if joint:
            apart |= {
                f"{joint[1]}{part}_proj.{joint[2]}": piece
                for part, piece in zip("qkv", tensor.chunk(3), strict=True)
            }
        elif packed:
            parts = ("query", "key", "value")
            apart |= {
                f"{packed[1]}{part}.{packed[2]}": piece
                for part, piece in zip(parts, tensor.chunk(3), strict=True)
            }
        else:
            apart[name] = tensor
    return {_renamed(name): tensor for name, tensor in apart.items()}


def _renamed(name: str) -> str:
    for pattern, replacement in RENAMED:
        name = re.sub(pattern, replacement, name)  # type: ignore[arg-type]
    return name
