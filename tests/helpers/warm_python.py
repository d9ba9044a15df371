"""Programs that start quickly: each is forked from a process that imported torch before.

With a few clips, a pipeline of thirty stages spends most of its time on imports.
`warm_python(folder)` writes the programs `python` and `c2vl` into `folder`. With that first in
`PATH`, `python stages/x.py` and `c2vl ...` run in a fork of the warm process, with the caller's
arguments, environment, folder and open files. Only the fork imports the project's own code. Any
other command line goes to the real interpreter.

A stage whose environment has `OPENED_FILES` notes which files of its folder it opens: as JSON, in
the folder that this names, under the stage's name (Linux only).
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from opened_files import opened_files

IMPORTED = (
    "torch",
    "torch._dynamo",  # torch imports it with the first optimizer
    "accelerate",
    "transformers",
    "transformers.image_processing_utils",  # brings most of what a model imports
    "safetensors.torch",
    "pyarrow.parquet",
    "pyarrow.compute",
    "pydantic.main",
    "scipy.ndimage",
    "scipy.spatial.transform",
    "sklearn.feature_extraction.text",
    "sklearn.linear_model",
    "sklearn.manifold",
    "matplotlib.pyplot",
    "cv2",
    "PIL.Image",
    "jinja2",
    "yaml",
    "tqdm",
    "dvc.repo",  # dvclive imports it with the first run
    "dvclive",
)
HEAD = 16  # bytes of a message's length
CLIENT = """\
#!{python} -IS
import json, os, socket, sys
command = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
if command[0] == "python":
    del command[0]
    if not command or not command[0].startswith("stages/"):
        os.execv({python!r}, [{python!r}, *command])
caller = socket.socket(socket.AF_UNIX)
caller.connect({address!r})
message = json.dumps([command, os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(caller, [b"%16d" % len(message)], [0, 1, 2])
caller.sendall(message)
sys.exit(int(caller.recv(16) or b"139"))  # nothing: it died
"""


@contextlib.contextmanager
def warm_python(folder: Path) -> Iterator[Path]:
    """Start the warm process and yield the folder of the programs; it ends with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    # The name of a socket must be short.
    address = f"{tempfile.gettempdir()}/warm-{os.getpid()}-{time.monotonic_ns()}"
    for name in ("python", "c2vl"):
        program = folder / name
        program.write_text(CLIENT.format(python=sys.executable, address=address), encoding="utf-8")
        program.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, __file__, address], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None and server.stdout.readline() == "ready\n"
        yield folder
    finally:
        server.kill()
        server.wait()
        Path(address).unlink(missing_ok=True)


def serve(address: str) -> None:
    """Fork a process for each caller until this process is ended."""
    for name in IMPORTED:
        import_module(name)
    import_module("transformers").AutoModelForZeroShotObjectDetection  # noqa: B018  loaded lazily
    gc.freeze()  # no fork looks through what was imported, or copies it by doing so
    assert threading.active_count() == 1, "a fork carries no other thread over"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the callers learn how a fork ended
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(address)
    listening.listen(8)
    print("ready", flush=True)
    while True:
        caller, _ = listening.accept()
        if os.fork() == 0:
            listening.close()
            code = 1
            try:
                code = run(caller)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                caller.sendall(str(code).encode())
                os._exit(code)
        caller.close()


def run(caller: socket.socket) -> int:
    """Run the script that the caller names as that process would; return the exit status."""
    head, files, _, _ = socket.recv_fds(caller, HEAD, 3)
    message = b""
    while len(message) < int(head):
        message += caller.recv(int(head) - len(message))
    arguments, folder, environment = json.loads(message)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = arguments
    script = arguments[0] != "c2vl"
    beside = [str(Path(arguments[0]).parent.absolute())] if script else []
    sys.path[0:1] = beside + environment.get("PYTHONPATH", "").split(os.pathsep)
    try:
        with noted(environment):
            if not script:
                import_module("c2vl.cli").main()
            else:
                runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as stopped:
        code = stopped.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
        return code if isinstance(code, int) else int(code is not None)
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as at exit
    return 0


@contextlib.contextmanager
def noted(environment: dict[str, str]) -> Iterator[None]:
    """Note the files that the block opens, if the environment asks for it."""
    if "OPENED_FILES" not in environment:
        yield
        return
    with opened_files(Path.cwd()) as found:
        yield
    note = Path(environment["OPENED_FILES"]) / environment["DVC_STAGE"]
    note.write_text(json.dumps(sorted(found)), encoding="utf-8")


if __name__ == "__main__":
    serve(sys.argv[1])
