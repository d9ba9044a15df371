"""Write an exported folder: `model.onnx`, `model.safetensors`, `config.json`, `README.md`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from c2vl import __version__
from c2vl.commands.exporting.model_card import model_card
from c2vl.commands.exporting.network import ExportedNetwork
from c2vl.commands.exporting.onnx_file import OPSET, write_onnx
from c2vl.core.errors import UserError
from c2vl.core.files import write_bytes, write_json
from c2vl.evaluation.linear import LinearHead
from c2vl.models.graph import GRAPHS
from c2vl.prompts.engines.engine_params import EngineParams
from c2vl.training.checkpoint import Checkpoint, EncoderConfig


def export(
    out: Path,
    checkpoint: Checkpoint,
    dataset: str,
    head: LinearHead | None = None,
    about: Mapping[str, Any] | None = None,
    prompts: EngineParams | None = None,
) -> dict[str, Any]:
    """Write the folder `out`, complete or not at all; return its config.

    Args:
        out: a folder that does not exist yet.
        checkpoint: the trained network.
        dataset: name of its training data, for the model card.
        head: the linear classifier; None exports no scores.
        about: the JSON of `head` (`classes`, `top1`).
        prompts: the encoder of the prompts that the network was aligned with. Users need it to
            compare embeddings with sentences.

    Raises:
        UserError: `out` exists or cannot be created, packages are missing, or ONNX and torch
            differ.
    """
    if out.exists():
        raise UserError(f"{out} exists already; name another folder or delete it.")
    about = about or {}
    network = exported_network(checkpoint, head)
    config = _config(checkpoint, network, dataset, about, prompts)
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
            for key in ("encoder", "stream", "frames", "graph", "classes", "outputs")
        }
        config["onnx"]["largest_difference"] = write_onnx(folder / "model.onnx", network, metadata)
        write_bytes(folder / "model.safetensors", save(_weights(checkpoint, head)))
        write_json(folder / "config.json", config)
        write_bytes(folder / "README.md", model_card(config).encode())
        folder.chmod(0o755)
        folder.rename(out)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return config


def exported_network(checkpoint: Checkpoint, head: LinearHead | None) -> ExportedNetwork:
    """The network to export from a checkpoint, in evaluation mode on the CPU."""
    config = checkpoint.config
    shared = getattr(checkpoint.network, "skeleton_head", None)
    network = ExportedNetwork(
        checkpoint.encoder,
        GRAPHS[config.encoder.graph],
        config.stream,
        config.frames,
        shared if isinstance(shared, nn.Linear) else None,
        head,
    )
    return network.cpu().eval().requires_grad_(False)


def _weights(checkpoint: Checkpoint, head: LinearHead | None) -> dict[str, torch.Tensor]:
    state = {
        name: value.detach().cpu().contiguous()
        for name, value in checkpoint.network.state_dict().items()
    }
    if head is not None:
        state |= {
            f"linear.{name}": torch.from_numpy(value).contiguous()
            for name, value in vars(head).items()
        }
    return state


def _config(
    checkpoint: Checkpoint,
    network: ExportedNetwork,
    dataset: str,
    about: Mapping[str, Any],
    prompts: EngineParams | None,
) -> dict[str, Any]:
    config = checkpoint.config
    graph = network.graph
    width = int(checkpoint.encoder.features)  # type: ignore[arg-type]
    descriptions = {
        "features": f"(batch, {width}), of the encoder",
        "embedding": "(batch, width of the shared space), unit rows, to compare with those of "
        "prompts by their dot product",
        "scores": "(batch, classes), of the linear head, rows of sum 1",
    }
    return {
        "c2vl": __version__,
        "encoder": config.encoder.model_dump(),
        "stream": config.stream,
        "frames": config.frames,
        "graph": {"name": graph.name, "joints": graph.joints, "parents": list(graph.parents)},
        "outputs": [{"name": name, "is": descriptions[name]} for name in network.outputs],
        "classes": list(about.get("classes", [])),
        "prompts": _prompts(config, prompts),
        "trained": {
            "dataset": dataset,
            "benchmark": config.benchmark,
            "method": config.method,
            "seed": config.seed,
            "clips": config.clips,
            "epochs": config.training.get("epochs"),
            "linear_top1": about.get("top1"),
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
