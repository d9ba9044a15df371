"""Load a checkpoint with transformers: tensors only, no code of the checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from c2vl.core.errors import UserError
from c2vl.core.heap import keep_freed_memory
from c2vl.prompts.engines import processors
from c2vl.prompts.engines.processor_files import settings_in
from c2vl.prompts.engines.weights import Weights

if TYPE_CHECKING:
    import torch


def load_pretrained(
    kind: Any,
    weights: Weights,
    dtype: torch.dtype,
    device: torch.device,
    load_processor: Callable[[str], Any] | None = None,
) -> tuple[Any, Any]:
    """Load the model and the processor of a checkpoint.

    Args:
        kind: an Auto class of transformers.
        weights: the checkpoint.
        dtype: format of the weights.
        device: where the model goes.
        load_processor: loads the processor of a folder, if transformers' own is not wanted; it may
            return None.

    Returns:
        The model in evaluation mode on `device`, and its processor.

    Raises:
        UserError: transformers cannot read the folder as a model of this kind, or its config names
            attention code to be fetched from the hub.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()  # the stage shows a bar of its own
    folder = str(weights.folder)
    refuse_foreign_kernels(weights)
    # Only a hub snapshot may come without safetensors; `weights_only` then unpickles tensors alone.
    safe = any(weights.folder.glob("*.safetensors"))
    try:
        # First the processor, because the weights take longer.
        own = load_processor(folder) if load_processor else None
        processor = own or processors.load_processor(weights.folder)
        model = kind.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=safe,
            weights_only=True,
            local_files_only=True,
            trust_remote_code=False,
        )
    except Exception as error:  # transformers raises of every kind for what it cannot read
        wanted = kind.__name__.removeprefix("AutoModelFor").removeprefix("Auto")
        why = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise UserError(
            f"{weights.name} ({_model_class(weights)}) could not be loaded as a {wanted} model "
            f"with a processor ({why})."
        ) from error
    if device.type == "cpu":
        keep_freed_memory()
    return model.to(device).eval(), processor


def _model_class(weights: Weights) -> str:
    """The class of model that the checkpoint names, else its type."""
    config = settings_in(weights.folder / "config.json")
    names = config.get("architectures")
    return str(names[0] if isinstance(names, list) and names else config.get("model_type"))


def refuse_foreign_kernels(weights: Weights) -> None:
    """Refuse a checkpoint whose config names attention code on the hub, such as `owner/kernel`.

    transformers would download that code and run it.

    Raises:
        UserError: the config does so.
    """
    for key, value in _entries(settings_in(weights.folder / "config.json")):
        if key.endswith("attn_implementation") and isinstance(value, str) and "/" in value:
            raise UserError(
                f"The config.json of '{weights.name}' asks for attention code from the hub "
                f"(`{key}: {' '.join(value.split())[:60]}`), which is not run; "
                f"remove `{key}` from it or use another checkpoint."
            )


def _entries(config: Any) -> list[tuple[str, Any]]:
    """(key, value) of all entries of nested JSON objects; a value inside a list has its key."""
    found: list[tuple[str, Any]] = []
    left = [("", config)]
    while left:
        key, value = left.pop()
        found.append((key, value))
        if isinstance(value, dict):
            # `attn_implementation` may be an object, with a value for each part of the model.
            inside = key if key.endswith("attn_implementation") else ""
            left += [(inside or str(name), one) for name, one in value.items()]
        elif isinstance(value, list):
            left += [(key, one) for one in value]
    return found
