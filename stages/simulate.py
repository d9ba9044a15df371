"""Stage `simulate`: write the synthetic world as NTU RGB+D files, and its ground truth.

Writes `data/studio` (raw files) and `truth/studio` (ground truth, which only scoring reads).
"""

from __future__ import annotations

from pathlib import Path

from c2vl.core.errors import one_sentence
from c2vl.core.params import load_section
from c2vl.core.runlog import logged
from c2vl.studio.dataset import simulate
from c2vl.studio.studio_params import StudioParams

RAW, TRUTH = Path("data/studio"), Path("truth/studio")


@one_sentence
def main() -> None:
    """Write the world."""
    with logged("simulate") as notes:
        counts = simulate(load_section("studio", StudioParams), RAW, TRUTH)
        notes["computed"] = counts["samples"]
    print(
        f"simulate: {counts['samples']} samples, {counts['frames']} frames, "
        f"{counts['broken']} broken on purpose."
    )


if __name__ == "__main__":
    main()
