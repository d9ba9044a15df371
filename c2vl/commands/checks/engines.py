"""The three engines as params.yaml asks for them: checkpoints, a captioning server, published answers, groundingdino-py."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from c2vl.commands.checks.finding import Finding, examine, mib
from c2vl.core.errors import UserError
from c2vl.core.params import load_section

SERVER_ANSWERS_WITHIN = 5.0  # seconds, a try; and the other environment's Python
FOREIGN_PYTHON_WITHIN = 60.0


def engines() -> Iterator[Finding]:
    """Each engine by itself, so that trouble with one hides no other."""
    for name, check in {
        "detector": _detector,
        "captioner": _captioner,
        "encoder": _encoder,
    }.items():
        yield from examine(name, check)


def _detector() -> Iterator[Finding]:
    from c2vl.commands.checks.data import filmed
    from c2vl.datasets.data_params import DataParams
    from c2vl.prompts.crop import CropParams

    params, data = load_section("crop", CropParams).detector, load_section("data", DataParams)
    if not filmed(data):
        yield Finding("ok", "detector", f"not needed: {data.raw} holds no videos")
    elif params.backend == "groundingdino":
        yield from _groundingdino(params.model)
    else:
        yield _checkpoint("detector", params.model, params.revision)


def _captioner() -> Iterator[Finding]:
    from c2vl.commands.checks.data import filmed
    from c2vl.datasets.data_params import DataParams
    from c2vl.prompts.caption import CaptionParams
    from c2vl.prompts.published_file import read_published

    params = load_section("caption", CaptionParams)
    if params.published is not None:
        told = read_published(params.published).sentences
        clips = f"{sum(map(len, told.values())):,} sentences of {len(told):,} clips"
        yield Finding(
            "ok", "captioner", f"not asked: `caption.published` is {params.published}, {clips}"
        )
    elif not filmed(data := load_section("data", DataParams)):
        todo = "set `caption.published` to a file of answers (docs/datasets.md)"
        yield Finding(
            "FAIL", "captioner", f"nothing to ask about: {data.raw} holds no videos", todo
        )
    elif params.captioner.server is not None:
        yield _server(params.captioner.server.model)
    else:
        yield _checkpoint("captioner", params.captioner.model, params.captioner.revision)


def _encoder() -> Iterator[Finding]:
    from c2vl.prompts.embed_params import EmbedParams

    params = load_section("embed", EmbedParams).encoder
    yield _checkpoint("encoder", params.model, params.revision)


def _server(model: str) -> Finding:
    """Asked for its list of models, with little patience."""
    from c2vl.prompts.engines.server.connection import Connection
    from c2vl.prompts.engines.server.server_captioner import require_model

    impatient = {
        "in_flight": 1,
        "timeout": SERVER_ANSWERS_WITHIN,
        "wait": 0.1,
        "dead_after": SERVER_ANSWERS_WITHIN / 2,
    }
    server = Connection.from_environment(**impatient)
    require_model(server, model)
    return Finding("ok", "captioner", f"the server {server.name} lists {model}")


def _groundingdino(model: str) -> Iterator[Finding]:
    from c2vl.prompts.engines.gdino.client import (
        BERT,
        BERT_ID,
        PACKAGE_VERSION,
        PYTHON,
        BERT_FILES,
        bert_vocabulary,
        interpreter,
    )
    from c2vl.prompts.engines.hub import cached
    from c2vl.prompts.engines.weights import original_identity

    identity = original_identity(model)
    yield Finding(
        "ok",
        "detector",
        f"{model}: {mib(Path(model).expanduser().stat().st_size)}, {identity[-37:][:20]}",
    )
    python = interpreter()
    ask = [
        str(python),
        "-c",
        "from importlib.metadata import version; print(version('groundingdino-py'))",
    ]
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONHOME")
    }
    todo = f"`make groundingdino`, then set {PYTHON} (docs/engines.md)"
    try:
        done = subprocess.run(
            ask, capture_output=True, text=True, timeout=FOREIGN_PYTHON_WITHIN, env=environment
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        yield Finding(
            "FAIL",
            "detector",
            f"{PYTHON}={python} cannot be run ({getattr(error, 'strerror', 'no answer')})",
            todo,
        )
        return
    found = done.stdout.strip()
    if done.returncode or found != PACKAGE_VERSION:
        has = f"groundingdino-py {found}, not {PACKAGE_VERSION}" if found else "no groundingdino-py"
        yield Finding("FAIL", "detector", f"{python} has {has}", todo)
        return
    if not os.environ.get(BERT) and cached(BERT_ID, None, BERT_FILES[0]) is None:
        words = f"{BERT_ID}'s words are not in the local cache; the stage fetches them from the hub when it first runs"
        yield Finding(
            "note",
            "detector",
            words,
            f"without network: put its {', '.join(BERT_FILES)} into a folder and set {BERT} to it",
        )
        return
    yield Finding(
        "ok", "detector", f"groundingdino-py {found} in {python}; vocabulary: {bert_vocabulary()}"
    )


def _checkpoint(name: str, model: str, revision: str | None) -> Finding:
    """A hub model that is not in the local cache is no failure: the stage would fetch it."""
    from c2vl.prompts.engines.hub import cached, looks_like_hub_id
    from c2vl.prompts.engines.weights import resolve

    hub = not Path(model).expanduser().is_dir() and looks_like_hub_id(model)
    if hub and cached(model, revision) is None:
        return Finding(
            "note",
            name,
            f"{model} is not (all) in the local cache; the stage fetches it from the hub when it first runs",
            f"without network: `hf download {model} --local-dir DIR` elsewhere, then put DIR in `model`",
        )
    try:
        weights = resolve(model, revision)
    except UserError as error:
        return Finding("FAIL", name, str(error))
    size = sum(path.stat().st_size for path in weights.folder.iterdir() if path.is_file())
    pinned = (
        " (no `revision` is pinned: another machine may get another version)"
        if hub and not revision
        else ""
    )
    return Finding("ok", name, f"{model}: complete, {mib(size)}, {weights.identity[:20]}{pinned}")
