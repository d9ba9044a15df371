"""Stage `check`: check all of params.yaml before any other stage runs.

Writes `data/check/checked.json`, which never changes. So a changed parameter runs the stages that
read it and no others.
"""

from __future__ import annotations

from pathlib import Path

from c2vl.core.errors import one_sentence
from c2vl.core.files import write_json
from c2vl.settings import check_settings

OUT = Path("data/check")


@one_sentence
def main() -> None:
    """Check the parameters."""
    check_settings()
    write_json(OUT / "checked.json", {"checked": True})


if __name__ == "__main__":
    main()
