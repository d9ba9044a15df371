"""Runs groundingdino-py in its own environment; reads messages from stdin, answers on stdout.

A message is: four bytes (big-endian) with the length of a JSON header, the header, and the byte
strings whose lengths the header lists as `bytes`. There is no pickle and no shell. This file
imports nothing of c2vl, and at its top only the standard library and NumPy, so that both
environments can read it.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np

MAX_HEADER, MAX_CONTENT = 2**20, 2**31  # bytes of a message
NO_MEMORY = ("out of memory", "_STATUS_ALLOC_FAILED", "can't allocate memory")
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as in the original
# Width of the patch embedding -> the package's config.
CONFIGS = {96: "GroundingDINO_SwinT_OGC", 128: "GroundingDINO_SwinB_cfg"}


def write_message(stream: BinaryIO, header: dict[str, Any], *contents: bytes) -> None:
    """Send one message."""
    text = json.dumps({**header, "bytes": [len(content) for content in contents]}).encode()
    stream.write(struct.pack(">I", len(text)) + text)
    for content in contents:
        stream.write(content)
    stream.flush()


def read_message(stream: BinaryIO) -> tuple[dict[str, Any], list[bytes]]:
    """Receive one message.

    Raises:
        EOFError: the other side ended.
        ValueError: these bytes are no message.
    """
    (length,) = struct.unpack(">I", _exactly(stream, 4))
    if length > MAX_HEADER:
        raise ValueError("not a message")
    header = json.loads(_exactly(stream, length))
    sizes = header.pop("bytes")
    if not all(isinstance(size, int) and size >= 0 for size in sizes) or sum(sizes) > MAX_CONTENT:
        raise ValueError("not a message")
    return header, [_exactly(stream, size) for size in sizes]


def _exactly(stream: BinaryIO, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError
    return content


class Model:
    """An original checkpoint, read as tensors only; no weight may be missing.

    Raises:
        ValueError: its backbone is unknown, it lacks weights, or they are NaN or infinite.
    """

    def __init__(self, weights: str, device: str, text_encoder: str, prompt: str) -> None:
        import groundingdino.config
        import torch
        from groundingdino.models import build_model
        from groundingdino.models.GroundingDINO import groundingdino as package
        from groundingdino.util.misc import clean_state_dict
        from groundingdino.util.slconfig import SLConfig
        from transformers import BertConfig, BertModel

        state = clean_state_dict(
            torch.load(weights, map_location="cpu", weights_only=True)["model"]
        )
        width = state["backbone.0.patch_embed.proj.weight"].shape[0]
        if width not in CONFIGS:
            raise ValueError(f"its backbone is neither Swin-T nor Swin-B (width {width})")
        folder = os.path.dirname(groundingdino.config.__file__)
        arguments = SLConfig.fromfile(os.path.join(folder, f"{CONFIGS[width]}.py"))
        arguments.device, arguments.text_encoder_type = device, text_encoder
        # BERT's weights are in the checkpoint. Its shape is enough, so nothing is downloaded.
        package.get_tokenlizer.get_pretrained_language_model = lambda name: BertModel(BertConfig())
        model = build_model(arguments)
        missing = [
            name
            for name in model.load_state_dict(state, strict=False).missing_keys
            if "position_ids" not in name
        ]
        if missing:
            raise ValueError(f"it lacks {len(missing)} tensors, such as {missing[0]}")
        bad = [name for name, one in model.named_parameters() if not one.isfinite().all()]
        if bad:
            raise ValueError(f"it has NaN or infinite numbers in {len(bad)} tensors ({bad[0]}, …)")
        self._torch, self._model = torch, model.to(device).eval()
        self._device, self._prompt = device, prompt

    def detect(
        self, images: Sequence[np.ndarray], threshold: float
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Detect people.

        Args:
            images: resized, (H, W, 3) uint8 RGB, all of one size.
            threshold: boxes with a lower score are dropped.

        Returns:
            Boxes (N, 4) float32, xyxy as shares of the image, and scores (N,) float32 of each.
        """
        torch = self._torch
        pixels = torch.from_numpy(np.stack(images)).to(self._device)  # (B, H, W, 3)
        batch = pixels.permute(0, 3, 1, 2).float() / 255  # (B, 3, H, W)
        mean, deviation = (
            torch.tensor(values, device=self._device)[:, None, None] for values in (MEAN, DEVIATION)
        )
        with torch.no_grad():
            out = self._model((batch - mean) / deviation, captions=[self._prompt] * len(images))
        scores = out["pred_logits"].sigmoid().amax(-1)  # (B, Q)
        centre, size = out["pred_boxes"][..., :2], out["pred_boxes"][..., 2:]
        boxes = torch.cat([centre - size / 2, centre + size / 2], -1)  # (B, Q, 4)
        kept = scores > threshold
        return [
            (
                boxes[row][kept[row]].cpu().numpy().astype("<f4"),
                scores[row][kept[row]].cpu().numpy().astype("<f4"),
            )
            for row in range(len(images))
        ]


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer messages until the other side closes."""
    model: Any = None
    threshold = 0.0
    while True:
        try:
            header, contents = read_message(requests)
        except EOFError:
            return
        try:
            if header["kind"] == "load":
                from importlib.metadata import version

                names = ("weights", "device", "text_encoder", "prompt")
                model = Model(*(header[name] for name in names))
                threshold = header["threshold"]
                write_message(answers, {"kind": "ready", "package": version("groundingdino-py")})
            else:
                shapes = header["shapes"]
                images = [
                    np.frombuffer(one, np.uint8).reshape(shape)
                    for one, shape in zip(contents, shapes)  # noqa: B905 - Python 3.9 has no `strict`
                ]
                found = model.detect(images, threshold)
                counts = [len(scores) for _, scores in found]
                contents = [part.tobytes() for pair in found for part in pair]
                write_message(answers, {"kind": "found", "counts": counts}, *contents)
        except Exception as error:
            memory = any(words in str(error) for words in NO_MEMORY)
            message = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            write_message(answers, {"kind": "memory" if memory else "error", "message": message})


if __name__ == "__main__":
    messages = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # packages print on stdout, which must not come between the messages
    serve(sys.stdin.buffer, messages)
