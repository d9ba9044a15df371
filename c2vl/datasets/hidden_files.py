"""Names of files that systems add to folders and archives; no raw data lies in them."""

from __future__ import annotations

# By macOS in zip archives, by NAS servers, by Windows, and at the top of a Linux disk.
SYSTEM_FOLDERS = frozenset(
    ["__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"]
)


def is_hidden(place: str) -> bool:
    """Whether a file's relative path, or a part of it, is hidden or of the system.

    macOS writes a file `._a.json` beside `a.json` on foreign disks, and into the folder `__MACOSX`
    of zip archives. It has the same suffix and holds no data.

    Examples:
        >>> is_hidden("__MACOSX/._a.json"), is_hidden("videos/._S001C001P001R001A001_rgb.avi")
        (True, True)
        >>> is_hidden("./a.json"), is_hidden("../a.json"), is_hidden("a.b/c.json")
        (False, False, False)
    """
    parts = place.replace("\\", "/").split("/")
    return any(
        part in SYSTEM_FOLDERS or (part.startswith(".") and part not in (".", ".."))
        for part in parts
    )
