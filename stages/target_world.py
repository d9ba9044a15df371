"""Stage `target_world`: write a second synthetic world as NTU RGB+D skeletons, for transfer.

Writes `data/studio-b/`: `nturgb+d_skeletons/*.skeleton` and `classes.txt`. There are no videos and
no ground truth (`c2vl/studio/other.py`).
"""

from __future__ import annotations

from pathlib import Path

from c2vl.core.errors import one_sentence
from c2vl.core.params import load_section
from c2vl.core.runlog import logged
from c2vl.studio.other import OtherWorldParams, simulate_other

RAW = Path("data/studio-b")


@one_sentence
def main() -> None:
    """Write the world."""
    with logged("target_world") as notes:
        notes["computed"] = simulate_other(load_section("target_world", OtherWorldParams), RAW)
    print(f"target_world: {notes['computed']} samples.")


if __name__ == "__main__":
    main()
