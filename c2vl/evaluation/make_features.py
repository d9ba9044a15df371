"""From a checkpoint to its cached features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from c2vl.evaluation.encoded import Encoded, save_encoded
from c2vl.evaluation.frozen import frozen_features
from c2vl.models.clips import Clips
from c2vl.training.absent import absent, pass_on
from c2vl.training.checkpoint import load_checkpoint


def make_features(checkpoint: Path, train: Clips, test: Clips, out: Path) -> dict[str, Any]:
    """Encode both splits with the checkpoint in a folder and write them to `out`.

    Where there is none, for a data set of skeletons alone, the note that says so is passed on.

    Returns:
        Counts for the run log.

    Raises:
        UserError: the checkpoint is incomplete.
    """
    if absent(checkpoint) is not None:
        pass_on(checkpoint, out)
        return {}
    loaded = load_checkpoint(checkpoint)
    config = loaded.config
    state = loaded.network.state_dict()
    heads = {
        name: value.float().numpy()
        for name, value in state.items()
        if not name.startswith("encoder.")
    }
    features = frozen_features(loaded.encoder, train, test, config.stream, config.frames)
    encoded = Encoded(
        config.method,
        config.benchmark,
        config.stream,
        train.samples,
        test.samples,
        features,
        heads,
        dict(config.prompts),
    )
    save_encoded(out, encoded, config.frames)
    return {"computed": len(train) + len(test), "width": features.train.shape[1]}
