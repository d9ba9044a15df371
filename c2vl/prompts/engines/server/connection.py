"""Requests to one captioning server: retried where that can help, given up when it is gone."""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter
from email.utils import parsedate_to_datetime
from typing import Any

import urllib3
from urllib3.util import parse_url

from c2vl.core.errors import UserError
from c2vl.core.machine import positive_integer
from c2vl.prompts.engines.server.bounded_http import (
    MAX_ANSWER,
    AnswerTooLargeError,
    BoundedHttp,
)
from c2vl.prompts.engines.server.server_text import clean_answer, clean_message

URL, KEY = "C2VL_CAPTION_URL", "C2VL_CAPTION_KEY"
IN_FLIGHT, TIMEOUT = "C2VL_CAPTION_IN_FLIGHT", "C2VL_CAPTION_TIMEOUT"
TRIES = 6  # of one request
LONGEST_WAIT = 60.0  # seconds between two tries, whatever `Retry-After` says
RETRY_STATUSES = {408, 409, 425, 429, 500, 502, 503, 504, 529}
DEAD_AFTER = 30.0  # seconds of failures alone, after which the server counts as gone
USELESS = 50  # requests without any answer at the start: the fault is not in the images


class RefusedError(Exception):
    """The server will never answer this request; `reason` says why in a few words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Connection:
    """A server that several threads ask.

    Text of the server reaches rows and messages without control characters and without the key.

    Args:
        url: such as `http://host:8000/v1`.
        key: sent as a bearer token; empty for none.
        in_flight: requests at once.
        timeout: seconds that one request may take, from its start to the last byte of its answer.
        wait: seconds before the first retry; doubled each time.
        dead_after: seconds of failures alone, after which the server counts as gone.
    """

    def __init__(
        self,
        url: str,
        key: str,
        in_flight: int,
        timeout: float,
        wait: float = 0.5,
        dead_after: float = DEAD_AFTER,
    ) -> None:
        self.in_flight = in_flight
        self._url, self._key = url.rstrip("/"), key
        self._wait, self._dead_after = wait, dead_after
        self._headers = {"Content-Type": "application/json"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._http = BoundedHttp(in_flight, timeout)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._gone: str | None = None
        self._failing_since: float | None = None
        self._failed = self._useless = 0
        self.answered = 0
        self.failures: Counter[str] = Counter()

    @classmethod
    def from_environment(cls, **settings: Any) -> Connection:
        """Connect as the environment variables `C2VL_CAPTION_*` say.

        Args:
            settings: arguments of the class that replace those of the environment.

        Raises:
            UserError: the address is missing or is none, or the key cannot be sent.
        """
        url, key = os.environ.get(URL, ""), os.environ.get(KEY, "").strip()
        parsed = parse_url(url) if url.startswith(("http://", "https://")) else None
        if parsed is None or not parsed.host:
            raise UserError(
                f"`caption.captioner.server` is set, but {URL} holds no address; "
                f"set {URL} to one such as http://host:8000/v1."
            )
        if parsed.auth or parsed.query:
            raise UserError(f"{URL} must not hold a password or a query; put the key into {KEY}.")
        if not (key.isascii() and key.isprintable()):
            raise UserError(f"{KEY} holds characters that HTTP cannot send; copy the key again.")
        defaults = {
            "in_flight": positive_integer(IN_FLIGHT, 64),
            "timeout": positive_integer(TIMEOUT, 120),
        }
        return cls(url, key, **{**defaults, **settings})

    @property
    def name(self) -> str:
        """Its address, for messages."""
        return self._url

    def get(self, path: str) -> Any:
        """Return the JSON at `path`; raises as `post` does."""
        return self._request("GET", path, None)

    def post(self, path: str, content: Any) -> Any:
        """Send JSON, return JSON.

        Raises:
            RefusedError: the server refuses this request, or failed it too often.
            UserError: the server is gone, or does not accept the key or the address.
        """
        return self._request("POST", path, json.dumps(content).encode())

    def cleaned(self, text: str) -> str:
        """`text` of an answer without control characters and without the key."""
        return clean_answer(text, self._key)

    def message(self, text: str, most: int = 160) -> str:
        """`text` of the server as one line for a message, without the key."""
        return clean_message(text, self._key, most)

    def _request(self, method: str, path: str, body: bytes | None) -> Any:
        failure, wait = "", self._wait
        for attempt in range(TRIES):
            if attempt:
                # A random share keeps many requests from coming back at the same moment.
                self._stopped.wait(min(wait * random.uniform(0.75, 1.25), LONGEST_WAIT))
                wait *= 2
            if self._stopped.is_set():
                raise UserError(self._gone or "The captioning was stopped.")
            began = time.monotonic()
            try:
                status, later, answer = self._http.request(
                    method, self._url + path, body, self._headers
                )
                if status == 200:
                    content = json.loads(answer)
                    with self._lock:
                        self._failing_since, self._failed = None, 0
                    return content
            except urllib3.exceptions.HTTPError as error:
                failure = in_words(error)
            except (ValueError, RecursionError):
                failure = "an answer that is not JSON"
            else:
                if status not in RETRY_STATUSES:
                    self._refuse(status, answer)
                failure = f"HTTP {status}"
                wait = max(wait, retry_after(later))
            self._count_failure(failure, began)
        raise RefusedError(
            f"the captioning server gave no answer in {TRIES} tries (last: {failure})"
        )

    def stop(self) -> None:
        """Let requests that wait for a thread or a retry fail at once."""
        self._stopped.set()

    def count(self, useful: bool, reason: str = "") -> None:
        """Count a request that is done.

        Raises:
            UserError: the first 50 requests were all useless, so the fault is not in the images.
        """
        with self._lock:
            self.answered += useful
            self._useless += not useful
            hopeless = not self.answered and self._useless >= USELESS
        if hopeless:
            self.stop()
            raise UserError(
                f"The captioning server {self._url} has not answered one of {USELESS} requests "
                f"(last: {reason}); check the model it serves and its log."
            )

    def _count_failure(self, failure: str, began: float) -> None:
        """Count a failed try. A server that is busy (429) is not gone."""
        with self._lock:
            self.failures[failure] += 1
            if failure == "HTTP 429":
                return
            self._failed += 1
            self._failing_since = min(self._failing_since or began, began)
            long = time.monotonic() - self._failing_since > self._dead_after
            if self._gone is None and long and self._failed >= min(self.in_flight, TRIES):
                self._gone = (
                    f"The captioning server {self._url} gives no answers ({self._failed} failed "
                    f"tries in a row, last: {failure}); start it and run again: every answer so "
                    "far is kept."
                )
                self.stop()

    def _refuse(self, status: int, body: bytes) -> None:
        reason = self.message(_error_text(body))
        if status in (401, 403):
            raise UserError(
                f"The captioning server {self._url} refuses this key (HTTP {status}: {reason}); "
                f"set {KEY}."
            )
        if status in (301, 302, 307, 308, 404, 405):
            raise UserError(
                f"There is no OpenAI-compatible interface at {self._url} "
                f"(HTTP {status}: {reason}); correct {URL}."
            )
        with self._lock:
            self.failures[f"HTTP {status}"] += 1
        raise RefusedError(f"the captioning server refused the crop (HTTP {status}: {reason})")


def retry_after(header: str | None) -> float:
    """Seconds that a `Retry-After` header asks for, as a number or a date, at most 60; else 0."""
    if not header:
        return 0.0
    if header.strip().isdecimal():
        return min(float(header), LONGEST_WAIT)
    try:
        return min(max(parsedate_to_datetime(header).timestamp() - time.time(), 0.0), LONGEST_WAIT)
    except (TypeError, ValueError, OverflowError):
        return 0.0


def in_words(error: urllib3.exceptions.HTTPError) -> str:
    """A transport error in a few words of our own."""
    exceptions = urllib3.exceptions
    if isinstance(error, AnswerTooLargeError):
        return f"an answer of more than {MAX_ANSWER // 2**20} MiB"
    if isinstance(error, exceptions.NewConnectionError | exceptions.NameResolutionError):
        return "connection refused" if "refused" in str(error) else "no connection"
    if isinstance(error, exceptions.TimeoutError):
        return "no answer in time"
    if isinstance(error, exceptions.ProtocolError):
        return "connection closed in the middle of an answer"
    return type(error).__name__


def _error_text(body: bytes) -> str:
    """The message of an OpenAI-style error, or the whole body as text."""
    try:
        content = json.loads(body)
        error = content.get("error", content)
        return str(error.get("message", error) if isinstance(error, dict) else error)
    except (ValueError, AttributeError, RecursionError):
        return body.decode("utf-8", "replace")
