"""Requests to one server, tried again when trying again can help, given up when the server is gone."""

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

URL, KEY, IN_FLIGHT, TIMEOUT = (
    "C2VL_CAPTION_URL",
    "C2VL_CAPTION_KEY",
    "C2VL_CAPTION_IN_FLIGHT",
    "C2VL_CAPTION_TIMEOUT",
)
TRIES = 6  # of one request
LONGEST_WAIT = 60.0  # seconds between two tries, whatever `Retry-After` says
AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, 529}
DEAD_AFTER = 30.0  # seconds in which nothing but trouble came back
PIECE = 2**16  # bytes of a body read at once
HOPELESS = 50  # requests without an answer, before there was any: it is not the pictures


class RefusedError(Exception):
    """The server will not answer this request, ever; `reason` says why in a few words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Connection:
    """A server, shared by the threads that ask it.

    Args:
        url: such as `http://host:8000/v1`.
        key: sent as a bearer token; empty for none.
        in_flight: requests at once.
        timeout: seconds that one request may take.
        wait: seconds before the first new try; doubled each time.
        dead_after: seconds of nothing but failures, from which on the server counts as gone.
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
        self._url, self._timeout, self._wait, self._dead_after = (
            url.rstrip("/"),
            timeout,
            wait,
            dead_after,
        )
        self._headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {key}"} if key else {}
        )
        self._pool = urllib3.PoolManager(
            maxsize=in_flight, block=False, timeout=urllib3.Timeout(timeout), retries=False
        )
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._gone: str | None = None
        self._failing_since: float | None = None
        self._failed = self._useless = 0
        self.answered = 0
        self.troubles: Counter[str] = Counter()

    @classmethod
    def from_environment(cls, **settings: Any) -> Connection:
        """As this machine's environment says; `settings` are arguments of the class that take its place.

        Raises:
            UserError: no address is given, or it is not one.
        """
        url = os.environ.get(URL, "")
        parsed = parse_url(url) if url.startswith(("http://", "https://")) else None
        if parsed is None or not parsed.host:
            raise UserError(
                f"`caption.captioner.server` is set; set {URL} to the server's address, such as http://host:8000/v1."
            )
        if parsed.auth:
            raise UserError(f"{URL} must not hold a password; put the key into {KEY}.")
        usual = {
            "in_flight": positive_integer(IN_FLIGHT, 64),
            "timeout": positive_integer(TIMEOUT, 120),
        }
        return cls(url, os.environ.get(KEY, ""), **{**usual, **settings})

    @property
    def name(self) -> str:
        """Its address, for messages."""
        return self._url

    def get(self, path: str) -> Any:
        """The JSON at `path`; as `post`."""
        return self._request("GET", path, None)

    def post(self, path: str, content: Any) -> Any:
        """Send JSON, return JSON.

        Raises:
            RefusedError: this request is no good, or was tried too often.
            UserError: the server is gone, or lets nobody in.
        """
        return self._request("POST", path, json.dumps(content).encode())

    def _request(self, method: str, path: str, body: bytes | None) -> Any:
        trouble, wait = "", self._wait
        for attempt in range(TRIES):
            if attempt:
                self._stopped.wait(
                    min(wait * random.uniform(0.75, 1.25), LONGEST_WAIT)
                )  # not all at the same moment again
                wait *= 2
            if self._stopped.is_set():
                raise UserError(self._gone or "The captioning was stopped.")
            began = time.monotonic()
            try:
                response = self._pool.request(
                    method,
                    self._url + path,
                    body=body,
                    headers=self._headers,
                    redirect=False,
                    preload_content=False,
                )
                told = self._whole(response, began)
                if response.status == 200:
                    content = json.loads(told)
                    with self._lock:
                        self._failing_since, self._failed = None, 0
                    return content
                trouble = f"HTTP {response.status}"
            except urllib3.exceptions.HTTPError as error:
                trouble = said(error)
            except (ValueError, RecursionError):
                trouble = "an answer that is not JSON"
            else:
                if response.status not in AGAIN:
                    self._refuse(response.status, told)
                wait = max(wait, retry_after(response.headers.get("Retry-After")))
            self._note_trouble(trouble, began)
        raise RefusedError(
            f"the captioning server gave no answer in {TRIES} tries (last: {trouble})"
        )

    def _whole(self, response: urllib3.BaseHTTPResponse, began: float) -> bytes:
        """The body, all of it in time: a server that sends a byte now and then would never end a socket's own patience."""
        parts = []
        while part := response.read1(PIECE):
            parts.append(part)
            if time.monotonic() - began > self._timeout:
                response.close()
                raise urllib3.exceptions.TimeoutError
        response.release_conn()
        return b"".join(parts)

    def stop(self) -> None:
        """Let requests that wait for their turn, or for a new try, fail at once."""
        self._stopped.set()

    def count(self, useful: bool, reason: str = "") -> None:
        """Note that a request brought what it was sent for, or never will.

        Raises:
            UserError: so many in a row were useless, and none ever useful, that it is not the requests.
        """
        with self._lock:
            self.answered += useful
            self._useless += not useful
            hopeless = not self.answered and self._useless >= HOPELESS
        if hopeless:
            self.stop()
            raise UserError(
                f"The captioning server {self._url} has not answered one of {HOPELESS} requests, last: {reason}."
            )

    def _note_trouble(self, trouble: str, began: float) -> None:
        """Count a failed try; busy (429) is not gone."""
        with self._lock:
            self.troubles[trouble] += 1
            if trouble == "HTTP 429":
                return
            self._failed += 1
            self._failing_since = min(self._failing_since or began, began)
            long = time.monotonic() - self._failing_since > self._dead_after
            if self._gone is None and long and self._failed >= min(self.in_flight, TRIES):
                tries = f"{self._failed} failed tries in a row, last: {trouble}"
                self._gone = (
                    f"The captioning server {self._url} gives no answers ({tries}); "
                    "start it and run again: every answer so far is kept."
                )
                self.stop()

    def _refuse(self, status: int, body: bytes) -> None:
        told = " ".join(_message(body).split())[:160]
        if status in (401, 403):
            raise UserError(
                f"The captioning server {self._url} refuses this key (HTTP {status}: {told}); set {KEY}."
            )
        if status in (301, 302, 307, 308, 404, 405):
            raise UserError(
                f"There is no OpenAI-compatible interface at {self._url} (HTTP {status}: {told}); mend {URL}."
            )
        with self._lock:
            self.troubles[f"HTTP {status}"] += 1
        raise RefusedError(f"the captioning server refused the crop (HTTP {status}: {told})")


def retry_after(header: str | None) -> float:
    """Seconds that a `Retry-After` header asks for, as a number or a date; 0 where it makes no sense."""
    if not header:
        return 0.0
    if header.strip().isdigit():
        return min(float(header), LONGEST_WAIT)
    try:
        return min(max(parsedate_to_datetime(header).timestamp() - time.time(), 0.0), LONGEST_WAIT)
    except (TypeError, ValueError):
        return 0.0


def said(error: urllib3.exceptions.HTTPError) -> str:
    """A transport error in a few words."""
    exceptions = urllib3.exceptions
    if isinstance(error, exceptions.NewConnectionError | exceptions.NameResolutionError):
        return "connection refused" if "refused" in str(error) else "no connection"
    if isinstance(error, exceptions.TimeoutError):
        return "no answer in time"
    if isinstance(error, exceptions.ProtocolError):
        return "connection closed in the middle of an answer"
    return type(error).__name__


def _message(body: bytes) -> str:
    """What an OpenAI-style error says, or the first of whatever it is."""
    try:
        told = json.loads(body)
        error = told.get("error", told)
        return str(error.get("message", error) if isinstance(error, dict) else error)
    except (ValueError, AttributeError):
        return body[:200].decode("utf-8", "replace")
