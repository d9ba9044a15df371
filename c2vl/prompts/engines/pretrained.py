"""Load a resolved checkpoint with transformers: safetensors (or tensors alone), no remote code, Pil image processing."""

from __future__ import annotations

from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from c2vl.core.errors import UserError
from c2vl.core.heap import keep_freed_memory
from c2vl.prompts.engines.weights import Weights

if TYPE_CHECKING:
    import torch


def load_pretrained(
    kind: Any, weights: Weights, dtype: torch.dtype, device: torch.device
) -> tuple[Any, Any]:
    """Return the model (an Auto class `kind`, weights as `dtype`, on `device`, ready to be used) and its processor.

    The image processor is the Pil one whatever else is installed: torchvision's gives other pixel values
    (by up to 0.0175), so the same crop would get other features on another machine.

    Raises:
        UserError: transformers cannot read the directory as a model of this kind.
    """
    from safetensors import SafetensorError
    from transformers import AutoProcessor
    from transformers.utils import logging

    logging.disable_progress_bar()  # a bar of its own for each file of weights, in the middle of a stage's own
    folder = str(weights.folder)
    # Only a hub snapshot without safetensors gets here without them; `weights_only` then unpickles nothing but tensors.
    safe = any(weights.folder.glob("*.safetensors"))
    try:
        model = kind.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=safe,
            weights_only=True,
            local_files_only=True,
            trust_remote_code=False,
        )
        processor = AutoProcessor.from_pretrained(
            folder, backend="pil", local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, RuntimeError, UnpicklingError, SafetensorError) as error:
        why = " ".join(str(error).split())[:200]
        wanted = kind.__name__.removeprefix("AutoModelFor").removeprefix("Auto")
        raise UserError(
            f"{weights.name} could not be loaded as a {wanted} model with a processor ({why})."
        ) from error
    if device.type == "cpu":
        keep_freed_memory()
    return model.to(device).eval(), processor
