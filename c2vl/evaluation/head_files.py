"""A linear head as two files, for recognition elsewhere: `<name>.safetensors` and `<name>.json`.

The tensors are those of `LinearHead` (`weight` (classes, D), `bias` (classes,), `mean` (D,),
`scale` (D,), float32): the logits of encoder features x (N, D) are `((x - mean) / scale) @ weight.T
+ bias`. The JSON holds `classes` (names, position = label), `benchmark`, `stream`, `method`,
`features` (D), `encoder` (folder of the checkpoint, relative to the project) and `top1` (test
split, last epoch).
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from c2vl.core.errors import UserError
from c2vl.core.files import read_json, write_bytes, write_json
from c2vl.evaluation.linear import LinearHead


def save_head(folder: Path, name: str, head: LinearHead, about: dict[str, Any]) -> None:
    """Write a head's two files; `about` is the JSON without `features`."""
    tensors = {
        key: np.ascontiguousarray(value, dtype=np.float32) for key, value in asdict(head).items()
    }
    write_bytes(folder / f"{name}.safetensors", save(tensors))
    write_json(folder / f"{name}.json", {**about, "features": head.weight.shape[1]})


def load_head(folder: Path, name: str) -> tuple[LinearHead, dict[str, Any]]:
    """Read a head back, with its JSON.

    Raises:
        UserError: a file is missing or is not a head.
    """
    try:
        about = dict(read_json(folder / f"{name}.json"))
        head = LinearHead(**load((folder / f"{name}.safetensors").read_bytes()))
    except FileNotFoundError as error:
        raise UserError(
            f"{error.filename} is missing; run `dvc repro evaluate` or `dvc pull`."
        ) from None
    except (ValueError, TypeError, SafetensorError):
        raise UserError(
            f"{folder / name}.safetensors is not a linear head; run `dvc repro -f evaluate`."
        ) from None
    if head.weight.shape != (len(about.get("classes", ())), len(head.mean)):
        raise UserError(
            f"{folder / name}.safetensors and its .json do not belong together; "
            "run `dvc repro -f evaluate`."
        )
    return head, about
