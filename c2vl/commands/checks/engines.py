"""Check the engines that params.yaml asks for."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from c2vl.commands.checks.finding import Finding, examine, mib
from c2vl.core.errors import UserError
from c2vl.core.params import load_section

if TYPE_CHECKING:
    from c2vl.prompts.caption import CaptionParams

SERVER_ANSWERS_WITHIN = 5.0  # seconds for each try
OTHER_PYTHON_WITHIN = 60.0  # seconds until the Python of groundingdino-py answers


def engines() -> Iterator[Finding]:
    """Check each engine, so that a fault of one does not hide the others."""
    for name, check in {
        "detector": _detector,
        "captioner": _captioner,
        "encoder": _encoder,
        "pose engine": _pose,
    }.items():
        yield from examine(name, check)


def _detector() -> Iterator[Finding]:
    from c2vl.commands.checks.data import filmed
    from c2vl.datasets.data_params import DataParams
    from c2vl.prompts.crop_params import CropParams

    params, data = load_section("crop", CropParams).detector, load_section("data", DataParams)
    if not filmed(data):
        yield Finding("ok", "detector", f"not needed: {data.raw} holds no videos")
    elif params.backend == "skeleton":
        found = "not needed: `crop.detector.backend` is skeleton, crops follow the colour joints"
        yield Finding("ok", "detector", found)
    elif params.backend == "groundingdino":
        yield from _groundingdino(params.model)
    else:
        yield _checkpoint("detector", params.model, params.revision)


def _pose() -> Iterator[Finding]:
    from c2vl.commands.checks.data import filmed, videos_alone
    from c2vl.datasets.data_params import DataParams
    from c2vl.prompts.pose.pose_params import PoseParams

    params, data = load_section("pose", PoseParams), load_section("data", DataParams)
    if (params.compare and filmed(data)) or videos_alone(data):
        yield _checkpoint("pose engine", params.engine.model, params.engine.revision)


def _captioner() -> Iterator[Finding]:
    from c2vl.commands.checks.data import filmed
    from c2vl.datasets.data_params import DataParams
    from c2vl.prompts.caption import CaptionParams
    from c2vl.prompts.published import read_for_captions

    params = load_section("caption", CaptionParams)
    if params.published is not None:
        sentences = read_for_captions(params.published, params.per == "clip").sentences
        counts = f"{sum(map(len, sentences.values())):,} sentences of {len(sentences):,} clips"
        found = f"not needed: `caption.published` is {params.published}, {counts}"
        yield Finding("ok", "captioner", found)
    elif not filmed(data := load_section("data", DataParams)):
        todo = "set `caption.published` to a file of answers (docs/datasets.md)"
        found = f"nothing to caption, so nothing is pretrained: {data.raw} holds no videos"
        yield Finding("note", "captioner", found, todo)
    elif params.captioner.server is not None:
        yield _server(params.captioner.server.model, _images(params))
    else:
        weights = _checkpoint("captioner", params.captioner.model, params.captioner.revision)
        yield weights
        if weights.state == "ok" and (images := _images(params)) is not None:
            from c2vl.prompts.engines.several_images import require_clips

            require_clips(params.asking(), images)
            found = f"its processor takes the {images} crops of a clip in a question"
            yield Finding("ok", "captioner", found)


def _images(params: CaptionParams) -> int | None:
    """Crops of a clip, if the captioner is asked about clips."""
    from c2vl.prompts.crop_params import CropParams

    return load_section("crop", CropParams).frames_per_clip if params.per == "clip" else None


def _encoder() -> Iterator[Finding]:
    from c2vl.prompts.embed_params import EmbedParams

    params = load_section("embed", EmbedParams).encoder
    yield _checkpoint("encoder", params.model, params.revision)


def _server(model: str, images: int | None) -> Finding:
    """Ask the server for its models, and about the crops of a clip; give up quickly."""
    from c2vl.prompts.engines.server.connection import Connection
    from c2vl.prompts.engines.server.server_captioner import require_images, require_model

    settings = {
        "in_flight": 1,
        "timeout": SERVER_ANSWERS_WITHIN,
        "wait": 0.1,
        "dead_after": SERVER_ANSWERS_WITHIN / 2,
    }
    server = Connection.from_environment(**settings)
    require_model(server, model)
    takes = ""
    if images is not None:
        require_images(server, model, images)
        takes = f" and takes the {images} crops of a clip in a question"
    return Finding("ok", "captioner", f"the server {server.name} lists {model}{takes}")


def _groundingdino(model: str) -> Iterator[Finding]:
    from c2vl.prompts.engines.gdino.client import (
        BERT,
        BERT_FILES,
        BERT_ID,
        PACKAGE_VERSION,
        PYTHON,
        bert_vocabulary,
        interpreter,
        other_environment,
    )
    from c2vl.prompts.engines.hub import cached
    from c2vl.prompts.engines.weights import original_identity

    identity = original_identity(model)
    size = mib(Path(model).expanduser().stat().st_size)
    yield Finding("ok", "detector", f"{model}: {size}, {identity[-37:][:20]}")
    python = interpreter()
    ask = "from importlib.metadata import version; print(version('groundingdino-py'))"
    todo = f"run `make groundingdino`, then set {PYTHON} (docs/engines.md)"
    try:
        done = subprocess.run(
            [str(python), "-c", ask],
            capture_output=True,
            text=True,
            timeout=OTHER_PYTHON_WITHIN,
            env=other_environment(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        why = getattr(error, "strerror", "no answer")
        yield Finding("FAIL", "detector", f"{PYTHON}={python} cannot be run ({why})", todo)
        return
    found = done.stdout.strip()
    if done.returncode or found != PACKAGE_VERSION:
        has = f"groundingdino-py {found}, not {PACKAGE_VERSION}" if found else "no groundingdino-py"
        yield Finding("FAIL", "detector", f"{python} has {has}", todo)
        return
    if not os.environ.get(BERT) and cached(BERT_ID, None, BERT_FILES[0]) is None:
        yield Finding(
            "note",
            "detector",
            f"the vocabulary of {BERT_ID} is not in the local cache; the first run downloads it",
            f"without network: copy its {', '.join(BERT_FILES)} to a folder and set {BERT} to it",
        )
        return
    yield Finding(
        "ok", "detector", f"groundingdino-py {found} in {python}; vocabulary: {bert_vocabulary()}"
    )


def _checkpoint(name: str, model: str, revision: str | None) -> Finding:
    """Check a checkpoint. A hub model that is not cached is no fault: the stage downloads it."""
    from c2vl.prompts.engines.hub import cached, looks_like_hub_id, missing_in_cache
    from c2vl.prompts.engines.weights import resolve

    hub = not Path(model).expanduser().is_dir() and looks_like_hub_id(model)
    if hub and cached(model, revision) is None:
        lacks = missing_in_cache(model, revision)
        why = f"incomplete in the local cache ({lacks})" if lacks else "not in the local cache"
        return Finding(
            "note",
            name,
            f"{model} is {why}; the first run downloads it from the hub",
            f"without network: `hf download {model} --local-dir DIR` elsewhere, then set `model` "
            "to DIR",
        )
    try:
        weights = resolve(model, revision)
    except UserError as error:
        return Finding("FAIL", name, str(error))
    size = sum(path.stat().st_size for path in weights.folder.iterdir() if path.is_file())
    unpinned = " (no `revision`: another machine may get another version)"
    note = unpinned if hub and not revision else ""
    return Finding("ok", name, f"{model}: complete, {mib(size)}, {weights.identity[:20]}{note}")
