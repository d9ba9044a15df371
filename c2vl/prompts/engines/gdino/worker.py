"""The other side of `backend: groundingdino`: runs where groundingdino-py is, speaks frames on stdin and stdout.

A frame is four bytes (big-endian) with the length of a JSON header, the header, then the byte strings whose lengths its
`bytes` lists. No pickle, no shell. This file imports nothing of c2vl, and at its top nothing but the standard library and
NumPy, so that both environments can read it.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np

MOST_HEADER, MOST_BYTES = 2**20, 2**31  # of a frame; more is not ours
NO_MEMORY = ("out of memory", "_STATUS_ALLOC_FAILED", "can't allocate memory")
MEAN, DEVIATION = (
    (0.485, 0.456, 0.406),
    (0.229, 0.224, 0.225),
)  # ImageNet's, as the original normalises
EMBED = {
    96: "GroundingDINO_SwinT_OGC",
    128: "GroundingDINO_SwinB_cfg",
}  # width of the patch embedding -> the package's config


def write_frame(stream: BinaryIO, header: dict[str, Any], *contents: bytes) -> None:
    """Send one frame."""
    text = json.dumps({**header, "bytes": [len(content) for content in contents]}).encode()
    stream.write(struct.pack(">I", len(text)) + text)
    for content in contents:
        stream.write(content)
    stream.flush()


def read_frame(stream: BinaryIO) -> tuple[dict[str, Any], list[bytes]]:
    """Receive one frame.

    Raises:
        EOFError: the other side is gone.
        ValueError: what came is no frame.
    """
    (length,) = struct.unpack(">I", _exactly(stream, 4))
    if length > MOST_HEADER:
        raise ValueError("not a frame")
    header = json.loads(_exactly(stream, length))
    sizes = header.pop("bytes")
    if not all(isinstance(size, int) and size >= 0 for size in sizes) or sum(sizes) > MOST_BYTES:
        raise ValueError("not a frame")
    return header, [_exactly(stream, size) for size in sizes]


def _exactly(stream: BinaryIO, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError
    return content


class Model:
    """An original checkpoint, read as the package reads it, but as tensors alone and with nothing missing."""

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
        if width not in EMBED:
            raise ValueError(f"its backbone is neither Swin-T nor Swin-B (width {width})")
        folder = os.path.dirname(groundingdino.config.__file__)
        arguments = SLConfig.fromfile(os.path.join(folder, f"{EMBED[width]}.py"))
        arguments.device, arguments.text_encoder_type = device, text_encoder
        # BERT's weights are in the checkpoint: its shape is enough, nothing has to be downloaded for it but the vocabulary.
        package.get_tokenlizer.get_pretrained_language_model = lambda name: BertModel(BertConfig())
        model = build_model(arguments)
        missing = [
            name
            for name in model.load_state_dict(state, strict=False).missing_keys
            if "position_ids" not in name
        ]
        if missing:
            raise ValueError(f"it lacks {len(missing)} tensors, such as {missing[0]}")
        self._torch, self._model, self._device, self._prompt = (
            torch,
            model.to(device).eval(),
            device,
            prompt,
        )

    def detect(
        self, images: Sequence[np.ndarray], threshold: float
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Boxes (N, 4) xyxy as shares of the image and scores (N,) of resized images (H, W, 3) uint8 RGB, all of one size."""
        torch = self._torch
        batch = (
            torch.from_numpy(np.stack(images)).to(self._device).permute(0, 3, 1, 2).float() / 255
        )  # (B, 3, H, W)
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
    """Answer frames until the other side closes."""
    model: Any = None
    threshold = 0.0
    while True:
        try:
            header, contents = read_frame(requests)
        except EOFError:
            return
        try:
            if header["kind"] == "load":
                from importlib.metadata import version

                model, threshold = (
                    Model(
                        *(header[name] for name in ("weights", "device", "text_encoder", "prompt"))
                    ),
                    header["threshold"],
                )
                write_frame(answers, {"kind": "ready", "package": version("groundingdino-py")})
            else:
                shapes = header["shapes"]
                images = [
                    np.frombuffer(one, np.uint8).reshape(shape)
                    for one, shape in zip(contents, shapes)  # noqa: B905 - its Python may be 3.9
                ]
                found = model.detect(images, threshold)
                counts = [len(scores) for _, scores in found]
                contents = [part.tobytes() for pair in found for part in pair]
                write_frame(answers, {"kind": "found", "counts": counts}, *contents)
        except Exception as error:
            memory = any(words in str(error) for words in NO_MEMORY)
            message = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            write_frame(answers, {"kind": "memory" if memory else "error", "message": message})


if __name__ == "__main__":
    frames = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the packages print must not come between the frames
    serve(sys.stdin.buffer, frames)
