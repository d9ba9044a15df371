"""The ONNX file: written, stripped of what tells about the machine, and compared with torch before anybody trusts it."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from c2vl.commands.exporting.network import ExportedNetwork
from c2vl.core.errors import UserError
from c2vl.models.encoders.persons import SLOTS

TOLERANCE = 1e-4
OPSET = 18
INPUT = "joints"


def write_onnx(path: Path, network: ExportedNetwork, about: Mapping[str, Any]) -> float:
    """Write `network` with a dynamic batch and number of frames; returns the largest difference from torch that was found.

    Args:
        path: of the file.
        network: in evaluation mode, on the CPU.
        about: put into the file's metadata, values as JSON.

    Raises:
        UserError: the packages for ONNX are not installed, or the file computes something else than torch.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  (torch's exporter needs it)
    except ImportError as error:
        raise UserError(
            f"Export needs the package {error.name}; pip install 'c2vl[export]'."
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
            f"The ONNX file's outputs differ from torch's by {worst:.2g}; it was not written."
        )
    path.write_bytes(data)
    return worst


def difference(network: ExportedNetwork, session: Any) -> float:
    """Largest absolute difference of any output, over batches and lengths that the export did not see."""
    worst = 0.0
    for seed, (clips, frames) in enumerate(
        ((1, 1), (1, network.frames), (3, 2 * network.frames + 41), (2, 300))
    ):
        joints = moving(clips, frames, network.graph.joints, seed)
        joints[0, :, 1] = 0  # somebody alone
        with torch.inference_mode():
            expected = network(torch.from_numpy(joints))
        found = session.run(None, {INPUT: joints})
        worst = max(
            worst,
            *(float(np.abs(f - e.numpy()).max()) for f, e in zip(found, expected, strict=True)),
        )
    return worst


def moving(clips: int, frames: int, joints: int, seed: int) -> np.ndarray:
    """Bodies that move as slowly as people do, (clips, frames, 2, joints, 3) float32 in metres: 2 cm a frame.

    Noise without a tie from frame to frame would move by a metre: a stream of motion is then some thirty times what an encoder
    was trained on, and so are its features and the last bits in which two right programs differ.
    """
    random = np.random.default_rng(seed)
    bodies = random.normal(scale=0.5, size=(clips, 1, SLOTS, joints, 3))
    steps = random.normal(scale=0.02, size=(clips, frames, SLOTS, joints, 3))
    return (bodies + steps.cumsum(1)).astype(np.float32)


def _exported(network: ExportedNetwork) -> Any:
    example = torch.zeros(2, network.frames + 7, SLOTS, network.graph.joints, 3)
    example[..., 0, :, :] = torch.linspace(-1, 1, example[..., 0, :, :].numel()).view(
        example[..., 0, :, :].shape
    )
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)  # it tells of torchvision, which is not wanted
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
    """Remove stack traces: they name this machine's folders, and would make equal models unequal."""
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
