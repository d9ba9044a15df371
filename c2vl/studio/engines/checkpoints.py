"""Write an engine the way the adapters read it: fp16 safetensors, config, processor and tokenizer in one folder."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2vl.studio.engines.configs import DETECTOR_SIZE, PATCH, TOWER_SIZE
from c2vl.studio.engines.tokenizers import (
    captioner_tokenizer,
    detector_tokenizer,
    encoder_tokenizer,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ENGINES = ("detector", "captioner", "encoder")


def detector_processor() -> Any:
    """Resizes every frame to the one size the detector was trained at."""
    from transformers import GroundingDinoImageProcessorPil, GroundingDinoProcessor

    height, width = DETECTOR_SIZE
    images = GroundingDinoImageProcessorPil(size={"height": height, "width": width})
    return GroundingDinoProcessor(image_processor=images, tokenizer=detector_tokenizer())


def crop_image_processor() -> Any:
    """CLIP's, without its centre crop, which would cut head and feet off a tall crop: crops are stretched."""
    from transformers import CLIPImageProcessorPil

    return CLIPImageProcessorPil(
        size={"height": TOWER_SIZE, "width": TOWER_SIZE}, do_center_crop=False
    )


def encoder_processor() -> Any:
    """CLIP's processor over our tokenizer."""
    from transformers import CLIPProcessor

    return CLIPProcessor(image_processor=crop_image_processor(), tokenizer=encoder_tokenizer())


def captioner_processor() -> Any:
    """LLaVA's processor; it replaces `<image>` by one token a patch, of which CLIP's class token is dropped."""
    from transformers import LlavaProcessor

    return LlavaProcessor(
        image_processor=crop_image_processor(),
        tokenizer=captioner_tokenizer(),
        patch_size=PATCH,
        num_additional_image_tokens=1,
        vision_feature_select_strategy="default",
    )


PROCESSORS = {
    "detector": detector_processor,
    "captioner": captioner_processor,
    "encoder": encoder_processor,
}


def save(engine: str, model: PreTrainedModel, folder: Path) -> None:
    """Write `model` in fp16 with its processor to `folder`, replacing what was there; `model` stays as it is."""
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    copy.deepcopy(model).half().save_pretrained(beside)
    PROCESSORS[engine]().save_pretrained(beside)
    for file in beside.iterdir():
        file.chmod(0o644)  # safetensors writes for its owner alone
    shutil.rmtree(folder, ignore_errors=True)
    beside.rename(folder)


def build(engine: str) -> PreTrainedModel:
    """An untrained model of `engine`, in train mode."""
    from c2vl.studio.engines import configs

    if engine == "detector":
        model: PreTrainedModel = configs.build_detector()
    elif engine == "captioner":
        model = configs.build_captioner(captioner_tokenizer())
    else:
        model = configs.build_encoder(encoder_tokenizer())
    return model.train()
