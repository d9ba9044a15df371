"""Public ST-GCN checkpoints: AimCLR's, CrosSCLR's and ActCLR's names, and pyskl's.

Read in Levigty/AimCLR (`net/st_gcn.py`), LinguoLi/CrosSCLR (`net/crossclr_3views.py`),
LanglandsLin/ActCLR (`AimCLR/net/st_gcn.py`) and kennymckormick/pyskl (`pyskl/models/gcns`).
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from c2vl.core.errors import UserError
from c2vl.models.encoders.registry import STGCNParams, build_encoder
from c2vl.models.encoders.stgcn_published import partition_of
from c2vl.models.graph import NTU25
from c2vl.models.streams import Stream

Naming = Literal["st-gcn", "pyskl"]
INPUT_NORM = "data_bn.weight"
SUBSETS = 3
NESTED = ("state_dict", "model_state_dict", "model", "net")  # where projects keep the weights
BLOCKS: dict[Naming, str] = {"st-gcn": "st_gcn_networks", "pyskl": "gcn"}
# A layer's name in their block: its name in ours.
LAYERS: dict[Naming, dict[str, str]] = {
    "st-gcn": {
        "gcn.conv": "graph",
        "tcn.0": "graph_norm",
        "tcn.2": "temporal",
        "tcn.3": "temporal_norm",
        "residual.0": "residual.linear",
        "residual.1": "residual.norm",
    },
    "pyskl": {
        "gcn.conv": "graph",
        "gcn.bn": "graph_norm",
        "tcn.conv": "temporal",
        "tcn.bn": "temporal_norm",
        "residual.conv": "residual.linear",
        "residual.bn": "residual.norm",
    },
}
IMPORTANCE: dict[Naming, str] = {
    "st-gcn": r"edge_importance\.(?P<block>\d+)",
    "pyskl": r"gcn\.(?P<block>\d+)\.gcn\.PA",
}
ADJACENCY = r"(?:gcn\.\d+\.gcn\.)?A"
HEADS = ("fc.", "cls_head.")  # what follows the encoder


@dataclass(frozen=True)
class ImportedEncoder:
    """An encoder with the weights of a public checkpoint, in evaluation mode."""

    encoder: nn.Module
    params: STGCNParams
    naming: Naming
    prefix: str


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a `.pt` or `.pth` file by name; only plain data are unpickled.

    Raises:
        UserError: the file cannot be read, holds more than plain data, or no tensors.
    """
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error}).") from None
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        zipfile.BadZipFile,
    ) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"{path} is not a file of plain tensors ({reason[:120]}). Nothing in it was run. Save "
            "its state dict alone: torch.save(model.state_dict(), FILE)."
        ) from None
    while isinstance(found, Mapping) and (
        inner := next((found[key] for key in NESTED if isinstance(found.get(key), Mapping)), None)
    ):
        found = inner
    if not isinstance(found, Mapping):
        raise UserError(f"{path} holds no state dict.")
    tensors = {str(key): value for key, value in found.items() if isinstance(value, Tensor)}
    return {key.removeprefix("module."): value.detach() for key, value in tensors.items()}


def import_stgcn(weights: Mapping[str, Tensor], stream: Stream = "joint") -> ImportedEncoder:
    """Build the encoder of a public ST-GCN checkpoint.

    Width, depth, last width and partition are read from the tensors. With several encoders, the one
    of the query is taken (`encoder_q`; in CrosSCLR the stream's: `encoder_q_bone`).

    Args:
        weights: of `read_weights`.
        stream: which encoder of CrosSCLR's three.

    Raises:
        UserError: the weights are not those of an ST-GCN on NTU's 25 joints.
    """
    prefix = _prefix(weights, stream)
    own = {
        name.removeprefix(prefix): value.float() if value.is_floating_point() else value
        for name, value in weights.items()
        if name.startswith(prefix)
    }
    own = {name: value for name, value in own.items() if not name.startswith(HEADS)}
    naming: Naming = (
        "st-gcn" if any(name.startswith("st_gcn_networks.") for name in own) else "pyskl"
    )
    try:
        state = dict(_translated(own, naming))
        params = _params(own, state, naming)
        encoder = build_encoder(params)
        encoder.load_state_dict(state)
    except (KeyError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"The checkpoint is not an ST-GCN on {NTU25.joints} joints: {reason[:200]}"
        ) from None
    return ImportedEncoder(encoder.eval(), params, naming, prefix)


def _prefix(weights: Mapping[str, Tensor], stream: Stream) -> str:
    """What stands before the names of the wanted encoder."""
    found = [name.removesuffix(INPUT_NORM) for name in weights if name.endswith(INPUT_NORM)]
    by_stream = any("encoder_q_" in prefix for prefix in found)  # CrosSCLR; `encoder_q`: joints
    query = f"encoder_q_{stream}." if by_stream and stream != "joint" else "encoder_q."
    chosen = [prefix for prefix in found if prefix.endswith(query)] or (
        found if len(found) == 1 else []
    )
    if len(chosen) == 1:
        return chosen[0]
    raise UserError(
        f"The checkpoint holds {', '.join(found)}, and not one encoder named {query}"
        if found
        else f"The checkpoint holds no ST-GCN ({INPUT_NORM} is missing)."
    )


def _translated(own: Mapping[str, Tensor], naming: Naming) -> Iterator[tuple[str, Tensor]]:
    """Our names and tensors of an encoder's weights.

    Raises:
        KeyError: a tensor has no place in an ST-GCN.
    """
    blocks = {re.match(rf"{BLOCKS[naming]}\.(\d+)\.", name) for name in own}
    importance = set()
    for name, value in own.items():
        if match := re.fullmatch(IMPORTANCE[naming], name):
            importance.add(match["block"])
            yield f"blocks.{match['block']}.graph.importance", value
        elif re.fullmatch(ADJACENCY, name):
            continue  # it tells the partition
        elif name.startswith("data_bn."):
            yield name.replace("data_bn", "input_norm"), value
        else:
            yield _of_block(name, value, naming)
    for number in {match[1] for match in blocks if match} - importance:
        shape = (SUBSETS, NTU25.joints, NTU25.joints)
        yield f"blocks.{number}.graph.importance", torch.ones(shape)


def _of_block(name: str, value: Tensor, naming: Naming) -> tuple[str, Tensor]:
    match = re.fullmatch(rf"{BLOCKS[naming]}\.(\d+)\.(\w+\.\w+)\.(\w+)", name)
    layer = LAYERS[naming].get(match[2]) if match else None
    if match is None or layer is None:
        raise KeyError(f"{name} has no place in it")
    number, kind = match[1], match[3]
    if layer == "graph":  # (K * C', C, 1, 1), subset by subset
        value = value.flatten(1) if kind == "weight" else value
        value = value.unflatten(0, (SUBSETS, -1))
        value = value.transpose(1, 2) if kind == "weight" else value
    elif layer == "temporal" and kind == "weight":
        value = value.transpose(2, 3)  # theirs are T x V, ours N x T
    elif layer == "residual.linear" and kind == "weight":
        value = value.flatten(1)
    return f"blocks.{number}.{layer}.{kind}", value.contiguous()


def _params(own: Mapping[str, Tensor], state: Mapping[str, Tensor], naming: Naming) -> STGCNParams:
    """The parameters of the encoder that the tensors belong to."""
    widths = {
        int(match[1]): len(value)
        for name, value in state.items()
        if (match := re.fullmatch(r"blocks\.(\d+)\.temporal\.bias", name))
    }
    if not widths:
        raise KeyError(f"there are no blocks named {BLOCKS[naming]}.N")
    width, last = widths[0], widths[max(widths)]
    stored = [value for name, value in own.items() if re.fullmatch(ADJACENCY, name)]
    names: tuple[Literal["published", "pyskl", "paper"], ...] = ("published", "pyskl", "paper")
    if naming == "pyskl":
        names = ("pyskl", "published", "paper")
    fitting = [
        name
        for name in names
        if all(
            value.shape == (SUBSETS, NTU25.joints, NTU25.joints)
            and torch.allclose(value, torch.from_numpy(partition_of(name, NTU25)), atol=1e-6)
            for value in stored
        )
    ]
    if not fitting:
        raise ValueError("its adjacency `A` is learnt, or of another graph")
    return STGCNParams(
        width=width,
        blocks=len(widths),
        persons="padded",
        partition=fitting[0],
        init="published",
        last_width=None if last == 4 * width else last,
        relative=naming == "st-gcn",
    )
