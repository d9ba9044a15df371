"""The captioner behind an OpenAI-compatible server: many crops in flight, bad ones with a reason, no answer lost."""

from __future__ import annotations

import base64
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import cv2
import numpy as np

from c2vl.core.errors import UserError
from c2vl.prompts.engines.captioner import Answer, CaptionerParams, NoAnswer
from c2vl.prompts.engines.fingerprints import fingerprint
from c2vl.prompts.engines.pad_to_square import pad_to_square
from c2vl.prompts.engines.server.connection import Connection, RefusedError
from c2vl.prompts.engines.server.request_threads import RequestThreads

QUALITY = 95  # of the JPEG that is sent; crops come as JPEG and are resized by the server anyway
COLOUR = (
    122,
    116,
    104,
)  # CLIP's mean, with which LLaVA was trained; the server's processor cannot be asked
TELL_EVERY = 30.0  # seconds


class ServerCaptioner:
    """Asks a server for each crop.

    A server cannot prove which weights it runs: its key is the model name it lists, the revision that params.yaml states, and
    every parameter. Its answers are therefore never mixed with those of weights that were read here.
    """

    def __init__(self, params: CaptionerParams, connection: Connection) -> None:
        assert params.server is not None
        self.fingerprint = fingerprint(params)
        self._params, self._model, self._server = params, params.server.model, connection
        require_model(connection, self._model)
        self._threads = RequestThreads(connection.in_flight)
        self._began = self._told = time.monotonic()

    def prepare(self, images: Sequence[np.ndarray]) -> list[Future[Answer | NoAnswer]]:
        """Send crops (H, W, 3) uint8 RGB on their way; batches that are prepared ahead keep the server busy."""
        return [
            self._threads.submit(self._ask, sent)
            for sent in [self._sent(image) for image in images]
        ]

    def _sent(self, image: np.ndarray) -> str:
        if self._params.pad_to_square:
            image = pad_to_square(image, COLOUR)
        bgr = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR)
        _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()

    def answer(self, ready: Sequence[Future[Answer | NoAnswer]]) -> list[Answer | NoAnswer]:
        """Wait for the answer to each crop, or why this one got none.

        Raises:
            UserError: the server is gone, refuses the key, or answers nothing at all.
        """
        answers = [one.result() for one in ready]
        if time.monotonic() - self._told > TELL_EVERY:
            self.tell()
        return answers

    def batch_size(self) -> int:
        """Crops to hand over at once."""
        return self._server.in_flight

    def close(self) -> None:
        """Ask nothing more, wait for nothing, and say how it went."""
        self._server.stop()
        self._threads.cancel()
        self.tell()

    def tell(self) -> None:
        """Say how it goes."""
        self._told = time.monotonic()
        rate = self._server.answered / max(self._told - self._began, 1e-9)
        troubles = ", ".join(
            f"{count} × {trouble}" for trouble, count in self._server.troubles.most_common(4)
        )
        line = f"caption: {self._server.answered:,} answers, {rate:.1f} a second, {self._server.in_flight} in flight"
        print(f"{line}; trouble: {troubles or 'none'}", file=sys.stderr, flush=True)

    def _ask(self, sent: str) -> Answer | NoAnswer:
        picture = {"type": "image_url", "image_url": {"url": sent}}
        question = {"type": "text", "text": self._params.question}
        request = {
            "model": self._model,
            "messages": [{"role": "user", "content": [picture, question]}],
            "temperature": 0,
            "max_tokens": self._params.max_new_tokens,
        }
        answer: Answer | NoAnswer
        try:
            answer = read_completion(self._server.post("/chat/completions", request))
        except RefusedError as refused:
            answer = NoAnswer(refused.reason)
        self._server.count(
            isinstance(answer, Answer), answer.reason if isinstance(answer, NoAnswer) else ""
        )
        return answer


def require_model(server: Connection, model: str) -> None:
    """Fail before the first crop where the server is not there or serves something else.

    Raises:
        UserError: as it says.
    """
    try:
        listed = server.get("/models")
        names = [str(each["id"]) for each in listed["data"]]
    except (RefusedError, KeyError, TypeError) as error:
        why = error.reason if isinstance(error, RefusedError) else "it does not list its models"
        raise UserError(
            f"The captioning server {server.name} cannot be used: {why}; start it or mend its address."
        ) from None
    if model not in names:
        raise UserError(
            f"The captioning server {server.name} does not serve '{model}' but {', '.join(sorted(names)[:5])}; "
            "mend `caption.captioner.server.model` or start it with that model."
        )


def read_completion(content: Any) -> Answer | NoAnswer:
    """The first choice of a chat completion."""
    try:
        choice = content["choices"][0]
        text = choice["message"]["content"]
        if text is None or isinstance(text, str):
            told = (
                (text or "").encode("utf-8", "replace").decode()
            )  # half an emoji, where an answer was cut off, is no text
            return Answer(told.strip(), choice.get("finish_reason") == "stop")
    except (KeyError, IndexError, TypeError, AttributeError):
        pass
    return NoAnswer("the captioning server's answer is no chat completion")
