"""JSON skeletons: nested lists, Northwestern-UCLA's files, and OpenPose's clips.

Northwestern-UCLA as CTR-GCN distributes it: `{"file_name": …, "skeletons": (T, 20, 3), …}`.
"""

from __future__ import annotations

import ast
import json
from typing import Any

from c2vl.datasets.formats.openpose import is_frame, parse_frames
from c2vl.datasets.formats.recording import Recording, recording
from c2vl.datasets.skeleton_file import SkeletonError

KEYS = ("skeletons", "joints", "keypoints", "skeleton", "poses")
LONGEST_LITERAL = 16 << 20  # bytes of a file that is no JSON but a printed Python object


def parse_json(data: bytes) -> Recording:
    """Parse a JSON file with all frames of a clip.

    Accepted are nested lists (T, M, V, C) or (T, V, C), an object that holds such lists under one
    of `KEYS`, and OpenPose's frames as a list or under `data` or `frames`. A byte order mark is
    skipped. A printed Python object (single quotes) is read as well.

    Raises:
        SkeletonError: it is none of these.
    """
    content = load_json(data)
    if is_frame(content) and "people" in content:
        return parse_frames([content])
    if isinstance(content, dict):
        key = next((key for key in KEYS if isinstance(content.get(key), list)), None)
        frames = next(
            (content[k] for k in ("data", "frames") if isinstance(content.get(k), list)), None
        )
        if key is not None:
            content = content[key]
        elif frames is not None:
            content = frames
        else:
            raise SkeletonError(
                f"it has none of the keys {', '.join(KEYS)}, data, frames or people"
            )
    if not isinstance(content, list) or not content:
        raise SkeletonError("it holds no frames")
    return parse_frames(content) if isinstance(content[0], dict) else recording(content)


def load_json(data: bytes) -> Any:
    """The content of a JSON file, or of a printed Python object.

    Raises:
        SkeletonError: it is neither.
    """
    if not data.strip():
        raise SkeletonError("the file is empty")
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError:
        raise SkeletonError("the file is not text") from None
    try:
        return json.loads(text)
    except RecursionError:
        raise SkeletonError("its lists are nested absurdly deep") from None
    except ValueError as error:
        where = str(error)[:80]
    if len(data) <= LONGEST_LITERAL and "'" in text[:1000]:
        try:
            return ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            pass
    raise SkeletonError(f"it is no JSON ({where})")
