"""The key of an engine: a digest of everything that changes its output, and of nothing else."""

from __future__ import annotations

import hashlib
import json

from c2vl.prompts.engines.engine_params import EngineParams


def fingerprint(params: EngineParams) -> str:
    """Hex digest of the weights' identity, every parameter and the adapter's version.

    It needs neither the loaded model nor torch, so the store can look up what is missing first.
    The checkpoint's path, the device and the batch size are not part of it.

    Raises:
        UserError: the checkpoint is missing, unreachable or incomplete.
    """
    content = {
        "engine": params.ENGINE,
        "adapter": params.ADAPTER_VERSION,
        "weights": params.identity(),
        "params": params.in_key(),
    }
    return hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=16).hexdigest()
