"""Parameters, checkpoints, data, video decoders and DVC's remote."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from c2vl.doctor.finding import Finding, mib
from c2vl.errors import UserError
from c2vl.params import load_section

REMOTE_ANSWERS_WITHIN = 20.0  # seconds


def decoders() -> Iterator[Finding]:
    """Write a small video and read it back through the pipeline's own decoder."""
    import cv2

    from c2vl.video.decode import decode

    try:
        import decord

        yield Finding("ok", "decord", str(decord.__version__))
    except ImportError:
        yield Finding("note", "decord", "absent on this platform; OpenCV decodes instead")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample.avi"
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"XVID"), 30.0, (64, 48))
        for level in range(0, 240, 24):
            writer.write(np.full((48, 64, 3), level, np.uint8))
        writer.release()
        frames = decode(path, [0, 9]).frames
    seen = [round(float(np.mean(frame))) for _, frame in sorted(frames.items())]
    if len(seen) != 2 or abs(seen[0] - 0) > 8 or abs(seen[1] - 216) > 8:
        yield Finding(
            "FAIL", "video", f"frames 0 and 9 of a test video came back as levels {seen}", "install again: make install"
        )
    else:
        yield Finding("ok", "video", f"an AVI written and read back frame by frame, OpenCV {cv2.__version__}")


def checkpoints() -> Iterator[Finding]:
    """Every engine's checkpoint: there, complete and identified."""
    from c2vl.engines.base import EngineParams
    from c2vl.engines.captioner import CaptionerParams
    from c2vl.engines.detector import DetectorParams
    from c2vl.engines.encoder import EncoderParams
    from c2vl.params import read_params

    models: dict[str, tuple[str, type[EngineParams]]] = {
        "detector": ("crop", DetectorParams),
        "captioner": ("caption", CaptionerParams),
        "encoder": ("embed", EncoderParams),
    }
    for name, (section, kind) in models.items():
        told = (read_params().get(section) or {}).get(name)
        if not isinstance(told, dict):
            yield Finding("FAIL", name, f"params.yaml has no section `{section}.{name}`", "compare it with profiles/demo.yaml")
            continue
        params = kind.model_validate(told)
        yield _checkpoint(name, params.model, params.revision)


def _checkpoint(name: str, model: str, revision: str | None) -> Finding:
    """A hub model that is not in the local cache is no failure: the stage would fetch it."""
    from c2vl.engines.hub import cached, looks_like_hub_id
    from c2vl.engines.weights import resolve

    hub = not Path(model).expanduser().is_dir() and looks_like_hub_id(model)
    if hub and cached(model, revision) is None:
        return Finding(
            "note",
            name,
            f"{model} is not in the local cache; the stage fetches it from the hub when it first runs",
            f"without network: `hf download {model} --local-dir DIR` elsewhere, then put DIR in `model`",
        )
    try:
        weights = resolve(model, revision)
    except UserError as error:
        return Finding("FAIL", name, str(error))
    size = sum(path.stat().st_size for path in weights.folder.iterdir() if path.is_file())
    pinned = " (no `revision` is pinned: another machine may get another version)" if hub and not revision else ""
    return Finding("ok", name, f"{model}: complete, {mib(size)}, {weights.identity[:20]}{pinned}")


def data() -> Iterator[Finding]:
    """The raw folder: which samples its names promise, without reading them."""
    from c2vl.datasets.params import DataParams
    from c2vl.datasets.scan import scan

    params = load_section("data", DataParams)
    if params.dataset == "studio" and not params.raw.is_dir():
        yield Finding("ok", "data", f"{params.raw} is not there yet; `simulate` makes it")
        return
    samples, strangers = scan(params.raw)
    skeletons = sum(bool(files.skeletons) for files in samples.values())
    videos = sum(bool(files.videos) for files in samples.values())
    odd = f", {len(strangers)} files with strange names" if strangers else ""
    told = f"{skeletons:,} skeletons and {videos:,} videos of {len(samples):,} samples as {params.dataset}{odd}"
    yield Finding("ok", "data", f"{params.raw}: {told}")


def remote() -> Iterator[Finding]:
    """DVC's default remote: configured, and answering. A child asks, so that a dead network cannot hold us."""
    ask = (
        "from dvc.repo import Repo\n"
        "repo = Repo('.')\n"
        "name = repo.config['core'].get('remote')\n"
        "if not name: print('none'); raise SystemExit\n"
        "odb = repo.cloud.get_remote_odb(name)\n"
        "print('name', name, odb.path)\n"
        "print('answers' if odb.fs.exists(odb.path) else 'empty')\n"
    )
    try:
        done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, timeout=REMOTE_ANSWERS_WITHIN)
    except subprocess.TimeoutExpired:
        yield Finding(
            "FAIL", "DVC remote", f"no answer within {REMOTE_ANSWERS_WITHIN:.0f} s", "check network and `dvc remote list`"
        )
        return
    lines = done.stdout.splitlines()
    if "none" in lines:
        yield Finding("note", "DVC remote", "none; fine alone, a lab shares through `dvc remote add -d lab URL`")
    elif "answers" in lines or "empty" in lines:
        first = "" if "answers" in lines else ", nothing there yet: the first `dvc push` makes it"
        yield Finding("ok", "DVC remote", f"{lines[0].removeprefix('name ')} answers{first}")
    else:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1][:200]
        yield Finding("FAIL", "DVC remote", said, "check `dvc remote list`, credentials and network")
