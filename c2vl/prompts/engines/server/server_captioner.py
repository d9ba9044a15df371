"""The captioner behind an OpenAI-compatible server, with many crops in flight."""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import cv2
import numpy as np

from c2vl.core.errors import UserError
from c2vl.prompts.engines.captioner import Answer, CaptionerParams, NoAnswer
from c2vl.prompts.engines.clip_inputs import sample_clip
from c2vl.prompts.engines.fingerprints import fingerprint
from c2vl.prompts.engines.pad_to_square import pad_to_square
from c2vl.prompts.engines.pixel_budget import shrunk
from c2vl.prompts.engines.server.connection import Connection, RefusedError
from c2vl.prompts.engines.server.request_threads import RequestThreads

log = logging.getLogger(__name__)

QUALITY = 95  # of the JPEG that is sent; the server resizes the crop anyway
# CLIP's mean, with which LLaVA was trained: the mean of a server's processor is not known.
PAD_COLOUR = (122, 116, 104)
REPORT_EVERY = 30.0  # seconds
NOT_A_COMPLETION = NoAnswer("the captioning server's answer is no chat completion")


class ServerCaptioner:
    """Asks a server about each crop, or about each clip.

    A server cannot prove which weights it runs. Its key therefore holds the model name that it
    lists, the revision that `params.yaml` states, and every parameter. So its answers never mix
    with those of weights that were read here.

    Args:
        params: section `caption.captioner`.
        connection: to the server.
        images: crops of the longest clip; None asks about each crop.

    Raises:
        UserError: the server cannot be reached, does not list the model, or does not take
            `images` in one question.
    """

    def __init__(
        self, params: CaptionerParams, connection: Connection, images: int | None = None
    ) -> None:
        assert params.server is not None
        self.fingerprint = fingerprint(params)
        self._params, self._model, self.connection = params, params.server.model, connection
        self._images = images
        require_model(connection, self._model)
        if images is not None:
            require_images(connection, self._model, images)
        self._threads = RequestThreads(connection.in_flight)
        self._began = self._reported = time.monotonic()

    def prepare(self, images: Sequence[Any]) -> list[Future[Answer | NoAnswer]]:
        """Send crops (H, W, 3) uint8 RGB, or clips: the crops of each, in order.

        Batches that are prepared ahead keep the server busy.
        """
        clips = images if self._images is not None else [[image] for image in images]
        encoded = [[self._data_uri(image) for image in clip] for clip in clips]
        return [self._threads.submit(self._ask, uris) for uris in encoded]

    def _data_uri(self, image: np.ndarray) -> str:
        if self._params.pad_to_square:
            image = pad_to_square(image, PAD_COLOUR)
        if self._params.max_pixels:
            image = shrunk(image, self._params.max_pixels)
        return data_uri(image)

    def answer(self, ready: Sequence[Future[Answer | NoAnswer]]) -> list[Answer | NoAnswer]:
        """Wait for each crop's answer, or for the reason why there is none.

        Raises:
            UserError: the server is gone, refuses the key, or answers nothing at all.
        """
        answers = [one.result() for one in ready]
        if time.monotonic() - self._reported > REPORT_EVERY:
            self.report()
        return answers

    def batch_size(self) -> int:
        """Crops to pass to `answer` at once: a clip counts as many as the longest one has."""
        return self.connection.in_flight * (self._images or 1)

    def close(self) -> None:
        """Stop asking, wait for nothing, and report."""
        self.connection.stop()
        self._threads.cancel()
        self.report()

    def report(self) -> None:
        """Print on stderr how many answers there are, how fast they come, and what failed."""
        self._reported = time.monotonic()
        server = self.connection
        rate = server.answered / max(self._reported - self._began, 1e-9)
        failures = ", ".join(f"{count} × {what}" for what, count in server.failures.most_common(4))
        log.warning(
            f"caption: {server.answered:,} answers, {rate:.1f} a second, "
            f"{server.in_flight} in flight; failed tries: {failures or 'none'}",
        )

    def _ask(self, uris: Sequence[str]) -> Answer | NoAnswer:
        params = self._params
        asked = question(self._model, uris, params.question, params.max_new_tokens)
        if params.temperature:
            asked |= {"temperature": params.temperature, "seed": 0}
        answer: Answer | NoAnswer
        try:
            content = self.connection.post("/chat/completions", asked)
            answer = read_completion(content, self.connection)
        except RefusedError as refused:
            answer = NoAnswer(refused.reason)
        reason = answer.reason if isinstance(answer, NoAnswer) else ""
        self.connection.count(isinstance(answer, Answer), reason)
        return answer


def data_uri(image: np.ndarray) -> str:
    """A JPEG of an image (H, W, 3) uint8 RGB, as a request holds it."""
    bgr = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()


def question(model: str, uris: Sequence[str], text: str, tokens: int) -> dict[str, Any]:
    """The request that asks `text` about images, in order, for at most `tokens` tokens."""
    images = [{"type": "image_url", "image_url": {"url": uri}} for uri in uris]
    return {
        "model": model,
        "messages": [{"role": "user", "content": [*images, {"type": "text", "text": text}]}],
        "temperature": 0,
        "max_tokens": tokens,
    }


def require_images(server: Connection, model: str, images: int) -> None:
    """Check before the first clip that the server answers about that many images at once.

    Raises:
        UserError: it refuses, or gives no answer.
    """
    uris = [data_uri(image) for image in sample_clip(images)]
    try:
        found = read_completion(
            server.post("/chat/completions", question(model, uris, "What is it?", 1)), server
        )
        why = found.reason if isinstance(found, NoAnswer) else ""
    except RefusedError as refused:
        why = refused.reason
    if why:
        raise UserError(
            f"The captioning server {server.name} does not take the {images} images of a clip in "
            f"one question ({why}); start it so that it does (vLLM: "
            f"`--limit-mm-per-prompt '{{\"image\": {images}}}'`), or set `caption.per: frame`."
        )


def require_model(server: Connection, model: str) -> None:
    """Check before the first crop that the server serves `model`.

    Raises:
        UserError: it does not answer, lists no models, or lists others only.
    """
    try:
        listed = server.get("/models")
        names = [str(each["id"]) for each in listed["data"]]
    except (RefusedError, KeyError, TypeError) as error:
        why = error.reason if isinstance(error, RefusedError) else "it does not list its models"
        raise UserError(
            f"The captioning server {server.name} cannot be used: {why}; "
            "start it or correct C2VL_CAPTION_URL."
        ) from None
    if model not in names:
        served = ", ".join(server.message(name, 60) for name in sorted(names)[:5])
        raise UserError(
            f"The captioning server {server.name} does not serve '{model}' but {served}; "
            "correct `caption.captioner.server.model` or start it with that model."
        )


def read_completion(content: Any, server: Connection) -> Answer | NoAnswer:
    """The first choice of a chat completion, cleaned for a table."""
    try:
        choice = content["choices"][0]
        text = choice["message"]["content"]
        if text is None or isinstance(text, str):
            # Half an emoji, where an answer was cut off, is no text: it becomes a question mark.
            valid = (text or "").encode("utf-8", "replace").decode()
            return Answer(server.cleaned(valid).strip(), choice.get("finish_reason") == "stop")
    except (KeyError, IndexError, TypeError, AttributeError):
        pass
    return NOT_A_COMPLETION
