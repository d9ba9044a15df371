"""The detector of `backend: groundingdino`: `worker.py` computes in another environment."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import numpy as np
from PIL import Image

from c2vl.core.errors import UserError
from c2vl.prompts.engines.batching import Batching
from c2vl.prompts.engines.detector import (
    CPU_BATCH,
    LARGEST_IMAGE,
    MAX_BATCH,
    Detections,
    detections,
)
from c2vl.prompts.engines.detector_params import DetectorParams
from c2vl.prompts.engines.fingerprints import fingerprint
from c2vl.prompts.engines.gdino import worker
from c2vl.prompts.engines.hub import fetch
from c2vl.prompts.engines.weights import GROUNDINGDINO

if TYPE_CHECKING:
    import torch

PYTHON, BERT = "C2VL_GROUNDINGDINO_PYTHON", "C2VL_GROUNDINGDINO_BERT"
BERT_ID = "bert-base-uncased"
BERT_FILES = ("vocab.txt", "config.json", "tokenizer.json", "tokenizer_config.json")
PACKAGE_VERSION = GROUNDINGDINO.split()[-1]  # part of the key
SHORTEST, LONGEST = 800, 1333  # pixels of a frame's sides, as in the original


@dataclass(frozen=True)
class Resized:
    """A resized image (h, w, 3) uint8 RGB, and its height and width in pixels before."""

    pixels: np.ndarray
    height: int
    width: int


class GroundingDinoPyDetector:
    """Grounding DINO, computed by groundingdino-py in a process of another environment.

    Raises:
        UserError: the other environment is missing, lacks the package, or cannot read the
            checkpoint.
    """

    def __init__(self, params: DetectorParams, device: torch.device, python: Path) -> None:
        self.fingerprint = fingerprint(params)
        self._params = params
        bert = bert_vocabulary()
        self._batching = Batching("detector", self.fingerprint, device, CPU_BATCH, MAX_BATCH)
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the worker lives
        environment = other_environment() | {"HF_HUB_OFFLINE": "1"}  # all files are local
        try:
            # In a session of its own, so that Ctrl-C reaches us alone; the worker ends when its
            # input does.
            self._process = subprocess.Popen(
                [str(python), worker.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise UserError(
                f"{PYTHON}={python} cannot be run ({error.strerror}); "
                "run `make groundingdino` and set it to the Python there (docs/engines.md)."
            ) from None
        self._lock = threading.Lock()  # of the pipe
        request = {
            "kind": "load",
            "weights": str(Path(params.model).expanduser().resolve()),
            "device": str(device),
        }
        request |= {"text_encoder": str(bert), "prompt": params.prompt.lower().strip()}
        ready, _ = self._ask({**request, "threshold": params.box_threshold})
        if ready["kind"] != "ready":
            self.close()
            raise UserError(
                f"groundingdino-py ({python}) cannot load '{params.model}' "
                f"({ready.get('message')}); see docs/engines.md."
            )
        if ready.get("package") != PACKAGE_VERSION:
            self.close()
            raise UserError(
                f"{PYTHON} has groundingdino-py {ready.get('package')}, but results are stored as "
                f"those of {PACKAGE_VERSION}; install requirements/groundingdino.txt there."
            )

    @classmethod
    def load(cls, params: DetectorParams, device: torch.device) -> GroundingDinoPyDetector:
        """Start the worker in the environment that `C2VL_GROUNDINGDINO_PYTHON` names.

        Raises:
            UserError: as the class.
        """
        return cls(params, device, interpreter())

    def prepare(self, images: Sequence[np.ndarray]) -> list[Resized]:
        """Resize images (H, W, 3) uint8 RGB as the original does; the worker normalises them."""
        return [self._resized(image) for image in images]

    def _resized(self, image: np.ndarray) -> Resized:
        height, width = image.shape[:2]
        shape = resized_shape(
            height,
            width,
            self._params.shortest_edge or SHORTEST,
            self._params.longest_edge or LONGEST,
        )
        pixels = np.asarray(Image.fromarray(image).resize(shape[::-1], Image.Resampling.BILINEAR))
        return Resized(pixels, height, width)

    def detect(self, ready: Sequence[Resized]) -> list[Detections]:
        """Detect people; images of equal size share a forward pass.

        Raises:
            UserError: the worker died, or a single image does not fit into memory.
        """
        by_size: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, one in enumerate(ready):
            by_size[one.pixels.shape].append(index)
        found: dict[int, Detections] = {}
        for indices in by_size.values():
            group = self._batching.run([ready[index] for index in indices], self._detect)
            found.update(zip(indices, group, strict=True))
        return [found[index] for index in range(len(ready))]

    def batch_size(self) -> int:
        """Images per batch on this device; see `c2vl.prompts.engines.batching`."""
        one = self.prepare([np.zeros((*LARGEST_IMAGE, 3), np.uint8)])
        return self._batching.size(lambda count: self._detect(one * count))

    def _detect(self, ready: Sequence[Resized]) -> list[Detections]:
        shapes = [one.pixels.shape for one in ready]
        answer, contents = self._ask(
            {"kind": "detect", "shapes": shapes}, *(one.pixels.tobytes() for one in ready)
        )
        if answer["kind"] == "memory":
            raise RuntimeError(f"can't allocate memory: {answer['message']}")
        if answer["kind"] != "found":
            raise RuntimeError(f"groundingdino-py: {answer.get('message')}")
        parts = [np.frombuffer(part, "<f4") for part in contents]
        return [
            detections(
                boxes.reshape(-1, 4) * np.array([one.width, one.height] * 2, np.float32),
                scores,
                one.height,
                one.width,
            )
            for one, boxes, scores in zip(ready, parts[::2], parts[1::2], strict=True)
        ]

    def _ask(self, header: dict[str, Any], *contents: bytes) -> tuple[dict[str, Any], list[bytes]]:
        """Send a message to the worker, return its answer.

        Raises:
            UserError: the worker ended, or its answer is not one of our messages.
        """
        try:
            with self._lock:
                worker.write_message(cast(BinaryIO, self._process.stdin), header, *contents)
                return worker.read_message(cast(BinaryIO, self._process.stdout))
        except (OSError, EOFError, ValueError):
            self.close()
            raise UserError(
                f"The groundingdino-py process ended ({self._last_words()}); see docs/engines.md."
            ) from None

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode("utf-8", "replace").split("\n")
        return next(
            (line.strip()[:200] for line in reversed(lines) if line.strip()), "without a message"
        )

    def close(self) -> None:
        """End the worker."""
        self._process.kill()
        self._process.wait()


def other_environment() -> dict[str, str]:
    """Environment variables for the other Python: ours, without paths to our packages."""
    ours = ("PYTHONPATH", "PYTHONHOME")
    return {name: value for name, value in os.environ.items() if name not in ours}


def interpreter() -> Path:
    """The Python of the other environment, as `C2VL_GROUNDINGDINO_PYTHON` names it.

    Raises:
        UserError: it is not set.
    """
    python = os.environ.get(PYTHON, "")
    if not python:
        raise UserError(
            f"`crop.detector.backend` is groundingdino, but {PYTHON} is not set; run "
            f"`make groundingdino` and set {PYTHON} to the Python there (docs/engines.md), "
            "or use the backend transformers."
        )
    return Path(python).expanduser()


def bert_vocabulary() -> Path:
    """The folder with BERT's vocabulary: `C2VL_GROUNDINGDINO_BERT`, else one of the hub's cache.

    It is fetched here, because without network the worker would retry for minutes.

    Raises:
        UserError: there is none.
    """
    named = os.environ.get(BERT, "")
    if named:
        folder = Path(named).expanduser().resolve()
        if not (folder / BERT_FILES[0]).is_file():
            raise UserError(
                f"{BERT}={named} holds no {BERT_FILES[0]}; "
                f"put the tokenizer and config.json of {BERT_ID} there."
            )
        return folder
    try:
        return fetch(BERT_ID, None, BERT_FILES, needs=BERT_FILES[0])
    except UserError as error:
        files = ", ".join(BERT_FILES)
        raise UserError(
            f"groundingdino-py needs the vocabulary of {BERT_ID}; "
            f"set {BERT} to a folder with its {files} ({error})"
        ) from None


def resized_shape(height: int, width: int, shortest: int, longest: int) -> tuple[int, int]:
    """Height and width of a resized frame.

    The shorter side becomes `shortest` pixels, or fewer so that the longer has at most `longest`.
    Source: `RandomResize([shortest], max_size=longest)` of Grounding DINO.

    Examples:
        >>> resized_shape(1080, 1920, 800, 1333)
        (750, 1333)
    """
    small, large = min(height, width), max(height, width)
    if large / small * shortest > longest:
        shortest = round(longest * small / large)
    if small == shortest:
        return height, width
    other = int(shortest * large / small)
    return (shortest, other) if height <= width else (other, shortest)
