"""Tiny image-text models of each type that transformers has, with random weights, as folders.

What a type needs beyond small sizes stands in `tiny_vlms.yaml`:

- `processor_class`: of the processor, where transformers has none for the type.
- `images_of`: the type whose image processor it uses, if not its own.
- `roles`: tokens of the tokenizer by role; an empty one means that it has none of this role.
- `tokens`: further tokens.
- `template`: the conversation, if not the default one.
- `images`, `processor`, `config`: entries of the image processor, the processor and the config;
  `id:TOKEN` stands for the id of a token.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
import yaml
from safetensors.torch import save_file
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

from c2vl.prompts.engines.processors import load_processor

TINY = Path(__file__).resolve().parents[2] / "checkpoints/tiny/captioner"
TYPES = tuple(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES)
RECIPES: dict[str, dict[str, Any]] = yaml.safe_load(
    Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")
)
MOST_PARAMETERS = 10_000_000
ROLES = {  # a token of each role that a processor may ask its tokenizer for
    "image_token": "<image>",
    "video_token": "<video>",
    "audio_token": "<audio>",
    "boi_token": "<boi>",
    "eoi_token": "<eoi>",
    "boa_token": "<boa>",
    "eoa_token": "<eoa>",
    "image_start_token": "<image_start>",
    "image_end_token": "<image_end>",
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<context>",
    "vision_start_token": "<vision_start>",
    "vision_end_token": "<vision_end>",
    "video_start_token": "<video_start>",
    "video_end_token": "<video_end>",
}
SIZES = {  # entries of a config, whatever it is of
    32: (
        "hidden_size d_model embed_dim projection_dim out_hidden_size text_hidden_size "
        "intermediate_size encoder_ffn_dim decoder_ffn_dim"
    ),
    16: "head_dim moe_intermediate_size shared_expert_intermediate_size",
    4: "num_experts num_local_experts n_routed_experts",
    2: (
        "num_hidden_layers num_layers depth encoder_layers decoder_layers num_attention_heads "
        "num_heads encoder_attention_heads decoder_attention_heads num_experts_per_tok"
    ),
    1: "num_key_value_heads n_group topk_group",
}
SMALL = {name: size for size, names in SIZES.items() for name in names.split()}
LAYERS = SMALL["num_hidden_layers"]
OF_LAYERS = ("layer_types", "mlp_layer_types")  # one entry a layer
SOME_TOKEN = 5


def template_of(kind: str) -> dict[str, str]:
    """The parameter `template`, if the type wants another than the default."""
    recipe = RECIPES.get(kind, {})
    return {"template": recipe["template"]} if "template" in recipe else {}


def class_of(kind: str) -> str:
    """The name of the model's class."""
    return str(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES[kind])


def build(kind: str, folder: Path) -> None:
    """Write a checkpoint of this model type, as the hub has it, into `folder`."""
    recipe = RECIPES.get(kind, {})
    _write_processor(kind, folder)
    config = _named(kind, transformers.CONFIG_MAPPING[kind]())
    config.save_pretrained(folder)  # its type tells which processor
    processor = load_processor(folder)
    entries = _shrunk(config.to_dict(), processor)
    _merge(entries, recipe.get("config", {}), processor.tokenizer)
    config = type(config)(**entries)
    model = getattr(transformers, class_of(kind))
    with torch.device("meta"):
        size = sum(weights.numel() for weights in model(config).parameters())
    assert size < MOST_PARAMETERS, f"{kind} has {size / 1e6:.1f} M parameters"
    torch.manual_seed(0)
    model(config).eval().save_pretrained(folder)


def build_all_but_weights(kind: str, folder: Path) -> None:
    """As `build`, for a type whose weights are never read because its processor does not load."""
    _write_processor(kind, folder)
    _named(kind, transformers.CONFIG_MAPPING[kind]()).save_pretrained(folder)
    save_file({"none": torch.zeros(1)}, folder / "model.safetensors")


def _named(kind: str, config: Any) -> Any:
    config.architectures = [class_of(kind)]
    return config


def _write_processor(kind: str, folder: Path) -> None:
    recipe = RECIPES.get(kind, {})
    tokenizer = transformers.AutoTokenizer.from_pretrained(TINY)
    roles = {role: token for role, token in (ROLES | recipe.get("roles", {})).items() if token}
    tokens = [*roles.values(), *recipe.get("tokens", ())]
    tokenizer.add_special_tokens({"additional_special_tokens": tokens})
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"extra_special_tokens": roles}))
    names = IMAGE_PROCESSOR_MAPPING_NAMES.get(recipe.get("images_of", kind), {})
    if "pil" in names:
        getattr(transformers, names["pil"])(**recipe.get("images", {})).save_pretrained(folder)
    else:
        named = json.dumps({"image_processor_type": names.get("torchvision")})
        (folder / "preprocessor_config.json").write_text(named)
    name = recipe.get("processor_class", PROCESSOR_MAPPING_NAMES.get(kind))
    content = {"processor_class": name, **recipe.get("processor", {})}
    (folder / "processor_config.json").write_text(json.dumps(content))


def _shrunk(entries: Mapping[str, Any], processor: Any) -> dict[str, Any]:
    """The entries of a config with small sizes and the tokenizer's ids."""
    small: dict[str, Any] = {}
    for name, value in entries.items():
        if not isinstance(name, str) or name in ("label2id", "rope_parameters", "rope_scaling"):
            small[name] = value
        elif name == "per_layer_config" and value:
            small[name] = {at: of for at, of in value.items() if int(at) < LAYERS}
        elif isinstance(value, dict):
            small[name] = _shrunk(value, processor)
        elif name in SMALL and isinstance(value, int):
            small[name] = SMALL[name]
        elif name == "vocab_size" and isinstance(value, int):
            small[name] = len(processor.tokenizer)
        elif name.endswith(("_token_id", "_token_index")):
            small[name] = _token_id(name.replace("_index", "_id"), value, processor)
        elif name in OF_LAYERS and value:
            small[name] = value[:LAYERS]
        else:
            small[name] = value
    return small


def _token_id(role: str, default: Any, processor: Any) -> Any:
    """The id of the token of this role; some small id if there is none, as the default is large."""
    tokenizer = processor.tokenizer
    for owner in (tokenizer, processor):
        if isinstance(found := getattr(owner, role, None), int):
            return found
    if isinstance(token := getattr(processor, role.removesuffix("_id"), None), str):
        return tokenizer.convert_tokens_to_ids(token)
    fits = default is None or (isinstance(default, int) and default < len(tokenizer))
    return default if fits else SOME_TOKEN


def _merge(entries: dict[str, Any], changes: Mapping[str, Any], tokenizer: Any) -> None:
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(entries.get(name), dict):
            _merge(entries[name], value, tokenizer)
        elif isinstance(value, dict):
            entries[name] = {}
            _merge(entries[name], value, tokenizer)
        elif isinstance(value, str) and value.startswith("id:"):
            entries[name] = tokenizer.convert_tokens_to_ids(value.removeprefix("id:"))
        else:
            entries[name] = value
