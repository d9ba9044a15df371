"""A captioning server that answers, or fails in whatever way a test asks for."""

from __future__ import annotations

import base64
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cv2
import numpy as np

from c2vl.prompts.engines.captioner import Answer, CaptionerParams, NoAnswer
from c2vl.prompts.engines.server.connection import Connection
from c2vl.prompts.engines.server.server_captioner import ServerCaptioner

MODEL = "llava-hf/llava-1.5-7b-hf"
# Arguments: the handler, the image's shade of grey, how often it was asked about before.
Behaviour = Callable[["Handler", int, int], None]


class Handler(BaseHTTPRequestHandler):
    """Lists one model and answers with the image's shade of grey, or does as `behaviour` says."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.reply(200, {"data": [{"id": MODEL}]})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(request)
        self.server.keys.add(self.headers.get("Authorization", ""))
        url = request["messages"][0]["content"][0]["image_url"]["url"]
        image = cv2.imdecode(
            np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR
        )
        shade = round(float(image[image.shape[0] // 2, image.shape[1] // 2].mean()) / 10)
        with self.server.lock:
            before = self.server.asked[shade]
            self.server.asked[shade] += 1
            self.server.now += 1
            self.server.most = max(self.server.most, self.server.now)
        try:
            self.server.behaviour(self, shade, before)
        finally:
            with self.server.lock:
                self.server.now -= 1

    def answer(self, shade: int, finish: str = "stop") -> None:
        choice = {
            "message": {"role": "assistant", "content": f" shade {shade} "},
            "finish_reason": finish,
        }
        self.reply(200, {"choices": [choice]})

    def reply(self, status: int, content: Any, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    """Counts what it is asked: `asked` by shade, `most` requests at once, `requests`, `keys`."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviour: Behaviour = lambda handler, shade, before: handler.answer(shade)
        self.lock, self.asked, self.now, self.most = threading.Lock(), Counter[int](), 0, 0
        self.requests: list[dict[str, Any]] = []
        self.keys: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that gave up waiting


@contextmanager
def running_server() -> Iterator[Server]:
    """A server that answers until the block ends."""
    running = Server()
    threading.Thread(
        target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
    ).start()
    yield running
    running.shutdown()
    running.server_close()


def params(**changes: Any) -> CaptionerParams:
    return CaptionerParams(
        **{"model": "nowhere", "server": {"model": MODEL, "revision": "b234b80"}} | changes
    )


def captioner_of(
    running: Server,
    in_flight: int = 8,
    timeout: float = 0.4,
    key: str = "secret",
    **changes: Any,
) -> ServerCaptioner:
    """A captioner that asks `running`, gives up quickly, and has the parameters `changes`."""
    return ServerCaptioner(
        params(**changes),
        Connection(running.url, key, in_flight, timeout, wait=0.02, dead_after=0.5),
    )


def crop(shade: int) -> np.ndarray:
    return np.full((30, 20, 3), 10 * shade, np.uint8)


def answers(captioner: ServerCaptioner, shades: range) -> list[Answer | NoAnswer]:
    return captioner.answer(captioner.prepare([crop(shade) for shade in shades]))
