"""Writes an engine as the adapters read it: fp16 safetensors, config, processor and tokenizer."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2vl.studio.engines.configs import DETECTOR_SIZE, PATCH, POSE_SIZE, TOWER_SIZE
from c2vl.studio.engines.tokenizers import (
    captioner_tokenizer,
    detector_tokenizer,
    encoder_tokenizer,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ENGINES = ("detector", "captioner", "encoder", "pose")


def detector_processor() -> Any:
    """A processor that resizes every frame to the detector's training size."""
    from transformers import GroundingDinoImageProcessorPil, GroundingDinoProcessor

    height, width = DETECTOR_SIZE
    images = GroundingDinoImageProcessorPil(size={"height": height, "width": width})
    return GroundingDinoProcessor(image_processor=images, tokenizer=detector_tokenizer())


def crop_image_processor() -> Any:
    """CLIP's image processor without the centre crop, which would cut off head and feet."""
    from transformers import CLIPImageProcessorPil

    return CLIPImageProcessorPil(
        size={"height": TOWER_SIZE, "width": TOWER_SIZE}, do_center_crop=False
    )


def encoder_processor() -> Any:
    """CLIP's processor with our tokenizer."""
    from transformers import CLIPProcessor

    return CLIPProcessor(image_processor=crop_image_processor(), tokenizer=encoder_tokenizer())


def captioner_processor() -> Any:
    """LLaVA's processor; `<image>` becomes one token for each patch, without CLIP's class token."""
    from transformers import LlavaProcessor

    return LlavaProcessor(
        image_processor=crop_image_processor(),
        tokenizer=captioner_tokenizer(),
        patch_size=PATCH,
        num_additional_image_tokens=1,
        vision_feature_select_strategy="default",
    )


def pose_processor() -> Any:
    """ViTPose's image processor for crops of the tiny engine's size."""
    from transformers import VitPoseImageProcessorPil

    height, width = POSE_SIZE
    return VitPoseImageProcessorPil(size={"height": height, "width": width})


PROCESSORS = {
    "detector": detector_processor,
    "captioner": captioner_processor,
    "encoder": encoder_processor,
    "pose": pose_processor,
}


def save(engine: str, model: PreTrainedModel, folder: Path) -> None:
    """Write `model` in fp16 with its processor to `folder`, replacing the folder's content."""
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    copy.deepcopy(model).half().save_pretrained(beside)
    PROCESSORS[engine]().save_pretrained(beside)
    for file in beside.iterdir():
        file.chmod(0o644)  # safetensors writes files that only their owner can read
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)


def build(engine: str) -> PreTrainedModel:
    """An untrained model of `engine` in training mode."""
    from c2vl.studio.engines import configs

    if engine == "detector":
        model: PreTrainedModel = configs.build_detector()
    elif engine == "pose":
        model = configs.build_pose()
    elif engine == "captioner":
        model = configs.build_captioner(captioner_tokenizer())
    else:
        model = configs.build_encoder(encoder_tokenizer())
    return model.train()
