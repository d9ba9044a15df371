"""A helper process that calls native decoders, so that a crash there ends the helper alone.

Each thread that decodes has a helper at a time; idle ones wait for the next. A call goes to the
helper's standard input. Its result comes back as pickle, with arrays beside it as plain bytes.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO, Any, TypeVar

from c2vl.datasets.video.backends import BackendError, VideoError

Result = TypeVar("Result")
LOOKS_FOR_PARENT = 5.0  # seconds between two looks at whether the parent still lives
COUNT = struct.Struct("<Q")
MAIN = (
    "import sys; sys.path[:] = sys.argv[1:]; "
    "from c2vl.datasets.video.decoder_process import serve; serve()"
)


class DecoderDiedError(Exception):
    """The helper process ended during a call; the text says how."""


class NoProcessError(Exception):
    """No helper process can be started on this machine."""


def call(function: Callable[..., Result], *given: Any) -> Result:
    """Return `function(*given)`, computed in a helper process.

    Args:
        function: of a module; raises nothing but the errors below.
        given: arguments that can be pickled.

    Raises:
        VideoError, BackendError: `function` did.
        DecoderDiedError: the process ended meanwhile.
        NoProcessError: none could be started.
    """
    helper = _idle()
    result = helper.call((function, given))
    with _lock:
        _waiting.append(helper)
    if isinstance(result, Exception):
        raise result
    return result


class _Helper:
    """A helper process and the pipes to it."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        path = [entry or os.getcwd() for entry in sys.path]
        settings = {"OPENCV_FFMPEG_LOGLEVEL": "-8", "OPENCV_LOG_LEVEL": "SILENT"}
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-c", MAIN, *path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # libav complains about every damaged block
                start_new_session=True,  # Ctrl-C is for the parent alone
                env=settings | os.environ,
            )
        except OSError as error:
            raise NoProcessError(str(error)) from None
        assert self.process.stdin is not None and self.process.stdout is not None
        self._to, self._from = self.process.stdin, self.process.stdout
        try:
            _receive(self._from)
        except (OSError, EOFError) as error:
            self.end()
            raise NoProcessError(f"it ended at once ({error})") from None

    def call(self, request: Any) -> Any:
        try:
            _send(self._to, request)
            return _receive(self._from)
        except (OSError, EOFError):
            raise DecoderDiedError(self.end()) from None
        except BaseException:  # such as Ctrl-C: a half read answer is of no use
            self.end()
            raise

    def end(self) -> str:
        """End the process if it still runs; return how it ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1.0)
        self.process.kill()
        code = self.process.wait()
        for pipe in (self._to, self._from):
            with contextlib.suppress(OSError):
                pipe.close()
        if code >= 0:
            return f"exit status {code}"
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"


_waiting: list[_Helper] = []
_lock = threading.Lock()


def _idle() -> _Helper:
    """A helper of this process that nobody uses, else a new one."""
    with _lock:
        while _waiting:
            helper = _waiting.pop()
            # A fork has copies of its parent's helpers; one may have been killed while it waited.
            if helper.owner == os.getpid() and helper.process.poll() is None:
                return helper
    return _Helper()


@atexit.register
def _end_all() -> None:
    for helper in _waiting:
        if helper.owner == os.getpid():
            helper.process.kill()
            helper.end()


def _send(pipe: IO[bytes], item: Any) -> None:
    """Write an item: the pickle's length, the number and lengths of arrays, then all of them."""
    arrays: list[pickle.PickleBuffer] = []
    head = pickle.dumps(item, protocol=5, buffer_callback=arrays.append)
    raw = [array.raw() for array in arrays]
    for length in (len(head), len(raw), *(one.nbytes for one in raw)):
        pipe.write(COUNT.pack(length))
    pipe.write(head)
    for one in raw:
        pipe.write(one)
    pipe.flush()


def _receive(pipe: IO[bytes]) -> Any:
    """Read what `_send` wrote.

    Raises:
        EOFError: the other end closed the pipe.
    """
    length, count = _number(pipe), _number(pipe)
    sizes = [_number(pipe) for _ in range(count)]
    head, *arrays = [_bytes(pipe, size) for size in (length, *sizes)]
    return pickle.loads(head, buffers=arrays)


def _number(pipe: IO[bytes]) -> int:
    return int(COUNT.unpack(_bytes(pipe, COUNT.size))[0])


def _bytes(pipe: IO[bytes], size: int) -> bytearray:
    content = bytearray(size)
    rest = memoryview(content)
    while rest:
        read = pipe.readinto(rest)  # type: ignore[attr-defined]
        if not read:
            raise EOFError
        rest = rest[read:]
    return content


def serve() -> None:
    """Answer calls until the parent closes the pipe or ends; the helper's main function."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library that prints must not write into the answers
    requests = os.fdopen(os.dup(0), "rb", buffering=0)
    parent = os.getppid()
    with contextlib.suppress(EOFError, BrokenPipeError):
        _send(answers, "ready")
        while True:
            while not select.select([requests], [], [], LOOKS_FOR_PARENT)[0]:
                if os.getppid() != parent:
                    return
            function, given = _receive(requests)
            result: Any
            try:
                result = function(*given)
            except (VideoError, BackendError) as error:
                result = error
            except Exception as error:
                result = VideoError(f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
            _send(answers, result)
