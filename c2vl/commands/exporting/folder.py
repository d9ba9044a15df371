"""Write an exported folder: `model.onnx`, `model.safetensors`, `config.json`, `README.md`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from c2vl import __version__
from c2vl.commands.exporting.joints import about_joints
from c2vl.commands.exporting.model_card import model_card
from c2vl.commands.exporting.network import ExportedNetwork, FusedNetwork
from c2vl.commands.exporting.onnx_file import OPSET, Network, write_onnx
from c2vl.core.errors import UserError
from c2vl.core.files import write_bytes, write_json
from c2vl.evaluation.evaluate_params import FusionParams
from c2vl.evaluation.linear import LinearHead
from c2vl.prompts.engines.engine_params import EngineParams
from c2vl.training.checkpoint import Checkpoint, EncoderConfig


@dataclass(frozen=True)
class Part:
    """One stream of an export: the trained network, and its classifier if it has one."""

    checkpoint: Checkpoint
    head: LinearHead | None = None


def export(
    out: Path,
    checkpoint: Checkpoint,
    dataset: str,
    head: LinearHead | None = None,
    about: Mapping[str, Any] | None = None,
    prompts: EngineParams | None = None,
) -> dict[str, Any]:
    """As `export_streams`, for one stream."""
    stream = checkpoint.config.stream
    return export_streams(
        out, {stream: Part(checkpoint, head)}, FusionParams(), dataset, about, prompts
    )


def export_streams(
    out: Path,
    parts: Mapping[str, Part],
    fusion: FusionParams,
    dataset: str,
    about: Mapping[str, Any] | None = None,
    prompts: EngineParams | None = None,
) -> dict[str, Any]:
    """Write the folder `out`, complete or not at all; return its config.

    Args:
        out: a folder that does not exist yet.
        parts: by stream; several have a classifier each, and are fused.
        fusion: how the streams are fused.
        dataset: name of the training data, for the model card.
        about: `classes` (names), and for the card `top1` and `source`.
        prompts: the encoder of the prompts that the network was aligned with. Users need it to
            compare embeddings with sentences.

    Raises:
        UserError: `out` exists or cannot be created, packages are missing, or ONNX and torch
            differ.
    """
    if out.exists():
        raise UserError(f"{out} exists already; name another folder or delete it.")
    about = about or {}
    network = _network(parts, fusion)
    config = _config(parts, network, dataset, about, prompts)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    except OSError as error:
        raise UserError(
            f"{out} cannot be created ({error.strerror}); name a folder that you can write to."
        ) from None
    try:
        metadata = {
            key: config[key]
            for key in ("encoder", "stream", "frames", "graph", "classes", "outputs", "fusion")
        }
        config["onnx"]["largest_difference"] = write_onnx(folder / "model.onnx", network, metadata)
        write_bytes(folder / "model.safetensors", save(_weights(parts)))
        write_json(folder / "config.json", config)
        write_bytes(folder / "README.md", model_card(config).encode())
        folder.chmod(0o755)
        folder.rename(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return config


def _network(parts: Mapping[str, Part], fusion: FusionParams) -> Network:
    networks = {
        stream: exported_network(part.checkpoint, part.head) for stream, part in parts.items()
    }
    if len(networks) == 1:
        return next(iter(networks.values()))
    return FusedNetwork(networks, fusion).eval()


def exported_network(checkpoint: Checkpoint, head: LinearHead | None) -> ExportedNetwork:
    """The network to export from a checkpoint, in evaluation mode on the CPU."""
    config = checkpoint.config
    shared = getattr(checkpoint.network, "skeleton_head", None)
    network = ExportedNetwork(
        checkpoint.encoder,
        config.layout,
        config.stream,
        config.frames,
        shared if isinstance(shared, nn.Linear) else None,
        head,
    )
    return network.cpu().eval().requires_grad_(False)


def _weights(parts: Mapping[str, Part]) -> dict[str, torch.Tensor]:
    """All weights by name; those of several streams begin with the stream."""
    found: dict[str, torch.Tensor] = {}
    for stream, part in parts.items():
        prefix = f"{stream}." if len(parts) > 1 else ""
        state = part.checkpoint.network.state_dict()
        if part.head is not None:
            state |= {
                f"linear.{name}": torch.from_numpy(value) for name, value in vars(part.head).items()
            }
        found |= {
            f"{prefix}{name}": value.detach().cpu().contiguous() for name, value in state.items()
        }
    return found


def _config(
    parts: Mapping[str, Part],
    network: Network,
    dataset: str,
    about: Mapping[str, Any],
    prompts: EngineParams | None,
) -> dict[str, Any]:
    checkpoint = next(iter(parts.values())).checkpoint
    config = checkpoint.config
    width = int(checkpoint.encoder.features)  # type: ignore[arg-type]
    descriptions = {
        "features": f"(batch, {width}), of the encoder",
        "embedding": "(batch, width of the shared space), unit rows, to compare with those of "
        "prompts by their dot product",
        "scores": "(batch, classes), rows of sum 1, in the order of the classes",
    }
    described = [
        {"name": name, "is": descriptions[name.partition("_")[0]]} for name in network.outputs
    ]
    return {
        "c2vl": __version__,
        "encoder": config.encoder.model_dump(),
        "stream": "fusion" if len(parts) > 1 else config.stream,
        "fusion": network.about if isinstance(network, FusedNetwork) else None,
        "frames": config.frames,
        "graph": about_joints(network.layout),
        "outputs": described,
        "classes": list(about.get("classes", [])),
        "prompts": _prompts(config, prompts),
        "trained": {
            "dataset": dataset,
            "benchmark": config.benchmark,
            "method": config.method,
            "seed": config.seed,
            "clips": config.clips,
            "epochs": config.training.get("epochs"),
            "source": about.get("source", "pretrained"),
            "top1": about.get("top1"),
        },
        "onnx": {"opset": OPSET, "largest_difference": None},
    }


def _prompts(config: EncoderConfig, encoder: EngineParams | None) -> dict[str, Any] | None:
    """The prompts that were learnt from: widths of their features, and the model that made them."""
    if not config.prompts:
        return None
    model = None if encoder is None else encoder.model
    if model and Path(model).is_absolute():
        model = Path(model).name  # a path of this machine must not be published
    return {
        "widths": dict(config.prompts),
        "model": model,
        "revision": encoder.revision if encoder else None,
    }
