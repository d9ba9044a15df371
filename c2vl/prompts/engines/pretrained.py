"""Load a checkpoint with transformers: tensors only, no code of the checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from c2vl.core.errors import UserError
from c2vl.core.heap import keep_freed_memory
from c2vl.prompts.engines import processors
from c2vl.prompts.engines.checkpoint_config import named, read_config
from c2vl.prompts.engines.processor_files import settings_in
from c2vl.prompts.engines.sanity import trying
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
        UserError: transformers cannot read the folder as a model of this kind, weights are missing,
            have other shapes or are NaN or infinite, the model does not fit into the memory of
            `device`, or its config names attention code to be fetched from the hub.
    """
    from transformers.utils import logging

    logging.disable_progress_bar()  # the stage shows a bar of its own
    folder = str(weights.folder)
    refuse_foreign_kernels(weights)
    name = f"'{weights.name}' ({named(read_config(weights))})"
    # Only a hub snapshot may come without safetensors; `weights_only` then unpickles tensors alone.
    safe = any(weights.folder.glob("*.safetensors"))
    cannot = f"could not be loaded with {kind.__name__} and its processor"
    instead = "use another checkpoint (docs/engines.md), or copy or download it again"
    with trying(name, cannot, instead):
        # First the processor, because the weights take longer.
        own = load_processor(folder) if load_processor else None
        processor = own or processors.load_processor(weights.folder)
        model, report = kind.from_pretrained(
            folder,
            dtype=dtype,
            use_safetensors=safe,
            weights_only=True,
            local_files_only=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # refused below, with their names
            output_loading_info=True,
        )
        _refuse_random_weights(name, report)
        model = model.to(device).eval()
        _refuse_no_numbers(name, model, dtype)
    if device.type == "cpu":
        keep_freed_memory()
    return model, processor


def _refuse_random_weights(name: str, report: Mapping[str, Any]) -> None:
    """Refuse a model that lacks weights: transformers fills them with random numbers.

    Args:
        name: of the checkpoint and its class, for people.
        report: what transformers says about loading it.

    Raises:
        UserError: some are missing, or have another shape than the config says.
    """
    other_shape = [str(entry[0]) for entry in report["mismatched_keys"]]
    for lacks, keys in (("lacks", report["missing_keys"]), ("has other shapes of", other_shape)):
        if keys:
            some = ", ".join(sorted(keys)[:2]) + (", …" if len(keys) > 2 else "")
            raise UserError(
                f"{name} {lacks} {len(keys):,} of the weights that its config.json asks for "
                f"({some}); copy or download it again, or use another checkpoint."
            )


def _refuse_no_numbers(name: str, model: Any, dtype: torch.dtype) -> None:
    """Refuse a model with weights that are NaN or infinite: it would answer nonsense.

    Args:
        name: of the checkpoint and its class, for people.
        model: on its device.
        dtype: format of the weights; those of the files may lie beyond its range.

    Raises:
        UserError: some are.
    """
    import torch

    # One pass over memory and one answer from the device. A sum is finite if all its terms are.
    sums = {
        key: weight.detach().sum(dtype=torch.float32)
        for key, weight in model.named_parameters()
        if weight.is_floating_point() and weight.element_size() > 1  # no float8: it has no sum
    }
    if not sums:
        return
    finite = torch.stack(list(sums.values())).isfinite().tolist()
    if all(finite):
        return
    bad = [key for key, sound in zip(sums, finite, strict=True) if not sound]
    some = ", ".join(sorted(bad)[:2]) + (", …" if len(bad) > 2 else "")
    wider = "set `dtype: float32`, or " * (dtype == torch.float16)
    raise UserError(
        f"{name} has NaN or infinite numbers in {len(bad):,} of its {len(sums):,} weights "
        f"({some}); {wider}copy or download it again, or use another checkpoint."
    )


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
