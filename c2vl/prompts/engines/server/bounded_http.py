"""HTTP whose answers are bounded in bytes and in seconds, whatever the server sends.

A socket's own timeout starts again with every byte. A server that drips headers, or that sends
`100 Continue` without end, would therefore never let a request end. Here every read below the HTTP
parser counts its bytes and gets only the seconds that are left.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import threading
import time
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

MAX_ANSWER = 4 * 2**20  # bytes of one answer, headers included
CHUNK = 2**16  # bytes of a body that one call reads

_request = threading.local()  # `deadline` of the request that this thread sends


class AnswerTooLargeError(urllib3.exceptions.HTTPError):
    """The server sent more than `MAX_ANSWER` bytes in one answer."""


class BoundedStream(io.RawIOBase):
    """The bytes of one answer from a socket, up to a deadline and a number of bytes."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._raw = sock.makefile("rb", buffering=0)
        self._socket, self._deadline, self._left = sock, deadline, MAX_ANSWER
        self._timeout_before = sock.gettimeout()

    def readable(self) -> bool:
        """Return True: this stream is for reading."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read into `buffer` and return the number of bytes; 0 at the end.

        Raises:
            TimeoutError: the deadline has passed.
            AnswerTooLargeError: the answer is larger than `MAX_ANSWER`.
        """
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("the answer took too long")
        self._socket.settimeout(seconds)
        count = self._raw.readinto(buffer)
        self._left -= count or 0
        if self._left < 0:
            raise AnswerTooLargeError
        return count

    def close(self) -> None:
        """Close the stream; the connection stays open for the next request."""
        with contextlib.suppress(OSError):  # the socket may be closed
            # The next request on this connection must not inherit the few seconds that were left.
            self._socket.settimeout(self._timeout_before)
        self._raw.close()
        super().close()


class _BoundedResponse(http.client.HTTPResponse):
    """A response that `http.client` parses from a bounded stream."""

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp.close()
        self.fp = io.BufferedReader(BoundedStream(sock, _request.deadline))


class _BoundedConnection(HTTPConnection):
    response_class = _BoundedResponse


class _BoundedSecureConnection(HTTPSConnection):
    response_class = _BoundedResponse


class _BoundedPool(HTTPConnectionPool):
    ConnectionCls = _BoundedConnection


class _BoundedSecurePool(HTTPSConnectionPool):
    ConnectionCls = _BoundedSecureConnection


class BoundedHttp:
    """Sends requests and returns whole answers; threads may share one.

    Connections go directly to the server and stay open. Redirects are not followed and nothing is
    decompressed: the request does not offer compression, so a small answer cannot grow.

    Args:
        connections: open connections that are kept.
        timeout: seconds from the start of a request to the last byte of its answer.
    """

    def __init__(self, connections: int, timeout: float) -> None:
        self._timeout = timeout
        self._pool = urllib3.PoolManager(
            maxsize=connections, block=False, timeout=urllib3.Timeout(timeout), retries=False
        )
        self._pool.pool_classes_by_scheme = {"http": _BoundedPool, "https": _BoundedSecurePool}

    def request(
        self, method: str, url: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, str | None, bytes]:
        """Send one request; return the status, the `Retry-After` header and the body.

        Raises:
            urllib3.exceptions.HTTPError: no connection, no whole answer in time, or one of more
                than `MAX_ANSWER` bytes.
        """
        _request.deadline = time.monotonic() + self._timeout
        response = self._pool.request(
            method,
            url,
            body=body,
            headers=headers,
            redirect=False,
            preload_content=False,
            decode_content=False,
        )
        try:
            parts = []
            while part := response.read1(CHUNK):
                parts.append(part)
        except BaseException:
            response.close()
            raise
        response.release_conn()
        return response.status, response.headers.get("Retry-After"), b"".join(parts)

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._pool.clear()
