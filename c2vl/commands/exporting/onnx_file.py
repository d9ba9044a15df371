"""Write the ONNX file, without traces of this machine, and compare it with torch."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from c2vl.commands.exporting.network import ExportedNetwork, FusedNetwork
from c2vl.core.errors import UserError
from c2vl.core.layout import SkeletonLayout

Network = ExportedNetwork | FusedNetwork
TOLERANCE = 1e-4
OPSET = 18
INPUT = "joints"


def write_onnx(path: Path, network: Network, about: Mapping[str, Any]) -> float:
    """Write `network` as ONNX with a free batch size and number of frames.

    Args:
        path: of the file.
        network: in evaluation mode, on the CPU.
        about: written to the file's metadata, values as JSON.

    Returns:
        The largest absolute difference between outputs of ONNX and torch.

    Raises:
        UserError: the packages for ONNX are not installed, or ONNX and torch differ by more than
            `TOLERANCE`.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  (torch's exporter needs it)
    except ImportError as error:
        raise UserError(
            f"Export needs the package {error.name}; run `pip install -e '.[export]'`."
        ) from None
    model = _exported(network)
    _strip(model)
    onnx.helper.set_model_props(
        model, {key: json.dumps(value, ensure_ascii=False) for key, value in about.items()}
    )
    onnx.checker.check_model(model)
    data = model.SerializeToString(deterministic=True)
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    worst = difference(network, session)
    if not worst <= TOLERANCE:
        raise UserError(
            f"Outputs of ONNX and torch differ by {worst:.2g}, so nothing was written; "
            "update onnx, onnxscript and onnxruntime with `pip install -U -e '.[export]'`."
        )
    path.write_bytes(data)
    return worst


def difference(network: Network, session: Any) -> float:
    """Largest absolute difference of any output from torch, on other batches and lengths."""
    worst = 0.0
    for seed, (clips, frames) in enumerate(
        ((1, 1), (1, network.frames), (3, 2 * network.frames + 41), (2, 300))
    ):
        joints = moving(clips, frames, network.layout, seed)
        joints[0, :, 1:] = 0  # one person only
        with torch.inference_mode():
            expected = network(torch.from_numpy(joints))
        found = session.run(None, {INPUT: joints})
        worst = max(
            worst,
            *(float(np.abs(f - e.numpy()).max()) for f, e in zip(found, expected, strict=True)),
        )
    return worst


def moving(clips: int, frames: int, layout: SkeletonLayout, seed: int) -> np.ndarray:
    """Random bodies that move 2 cm a frame, (clips, frames, M, V, 3) float32 in metres.

    Independent noise would move a metre a frame. Motion would then be thirty times larger than in
    training, and so would features and rounding differences.
    """
    random = np.random.default_rng(seed)
    bodies = random.normal(scale=0.5, size=(clips, 1, *layout.shape))
    steps = random.normal(scale=0.02, size=(clips, frames, *layout.shape))
    return (bodies + steps.cumsum(1)).astype(np.float32)


def _exported(network: Network) -> Any:
    example = torch.zeros(2, network.frames + 7, *network.layout.shape)
    example[..., 0, :, :] = torch.linspace(-1, 1, example[..., 0, :, :].numel()).view(
        example[..., 0, :, :].shape
    )
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)  # it warns that torchvision is missing, which is not needed
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=network.outputs,
                dynamic_shapes={
                    INPUT: {0: torch.export.Dim("batch"), 1: torch.export.Dim("frames")}
                },
                verbose=False,
            )
    finally:
        log.setLevel(level)
    assert program is not None
    return program.model_proto


def _strip(model: Any) -> None:
    """Remove stack traces: they name folders of this machine and differ between equal models."""
    graphs: Iterable[Any] = (model.graph, *model.functions)
    for graph in graphs:
        graph.ClearField("metadata_props")
        for kind in ("node", "value_info", "input", "output", "initializer"):
            for item in getattr(graph, kind, ()):
                if not isinstance(item, str):
                    item.ClearField("metadata_props")
                    item.ClearField("doc_string")
    model.ClearField("metadata_props")
    model.ClearField("doc_string")
