"""The schema of every stage's table; the fields' metadata hold description, unit and shape.

The metadata become part of the written files, so a changed description changes their bytes.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from c2vl.core.layout import SkeletonLayout
from c2vl.core.layout_file import NTU, shipped_layout

OK, FAILED, EXCLUDED = "ok", "failed", "excluded"


def _field(name: str, kind: pa.DataType, about: str, unit: str = "", shape: str = "") -> pa.Field:
    metadata = {"description": about, "unit": unit, "shape": shape}
    return pa.field(name, kind, metadata={key: text for key, text in metadata.items() if text})


def _list(kind: pa.DataType, size: int = -1) -> pa.DataType:
    # Parquet reads the values back as `element`, so the schema stays equal.
    return pa.list_(pa.field("element", kind), size)


SAMPLE = _field("sample", pa.string(), "sample id, such as S001C001P001R001A001")
PROMPT = _field("k", pa.int8(), "which of the K prompts of the sample, from 0")
OUTCOME = (
    _field("status", pa.string(), "`ok`, or a short word for what is wrong"),
    _field("reason", pa.string(), "what is wrong, in a sentence; empty when ok"),
)

INDEX = pa.schema(
    [
        SAMPLE,
        _field("dataset", pa.string(), "studio, ntu60, ntu120, pku1 or pku2"),
        _field(
            "setup", pa.int16(), "setup number, from 1; PKU-MMD: number of the video or sequence"
        ),
        _field("camera", pa.int16(), "camera number, from 1; PKU-MMD: 1 left, 2 middle, 3 right"),
        _field(
            "subject",
            pa.int16(),
            "subject (performer) number, from 1; null where unknown (PKU-MMD I)",
        ),
        _field(
            "repetition", pa.int16(), "repetition number, from 1; PKU-MMD: line of the label file"
        ),
        _field("action", pa.int16(), "action number, from 1"),
        _field("label", pa.int16(), "class label: action - 1"),
        _field(
            "skeleton_file",
            pa.string(),
            "place in the raw folder: a path or archive.zip!member; null where there is none",
        ),
        _field(
            "video_file",
            pa.string(),
            "place in the raw folder: a path or archive.zip!member; null where there is none",
        ),
        _field(
            "skeleton_hash",
            pa.string(),
            "blake2b-128, hex, of the file's bytes, or of a clip's lines in it",
        ),
        _field("video_hash", pa.string(), "blake2b-128 of the file's bytes, hex"),
        _field("skeleton_frames", pa.int32(), "declared in the skeleton file", "frames"),
        _field(
            "video_frames", pa.int32(), "declared in the video file; fewer may decode", "frames"
        ),
        _field("video_width", pa.int32(), "width of the video", "pixels"),
        _field("video_height", pa.int32(), "height of the video", "pixels"),
        _field(
            "clip_begin",
            pa.int32(),
            "first frame of the clip in both files, null where they hold no other",
            "frames",
        ),
        _field("clip_stop", pa.int32(), "frame after the clip's last", "frames"),
        _field(
            "video_reason",
            pa.string(),
            "why there is no usable video, in a sentence; empty when there is one",
        ),
        *OUTCOME,
    ]
)

SKELETON = pa.schema(
    [
        SAMPLE,
        _field("frames", pa.int32(), "T: frames after the NTU rules", "frames"),
        _field("bodies", pa.int8(), "real actors, 1 or 2"),
        _field(
            "joints",
            _list(pa.float32()),
            "3D joints of the two actors, centred",
            "metres",
            "(T, 2, 25, 3)",
        ),
        _field("file_frames", pa.int32(), "F: frames of the skeleton file", "frames"),
        _field(
            "colour",
            _list(pa.float32()),
            "colour-image joints of the actors by frame of the file, NaN where absent",
            "pixels of the 1920x1080 frame",
            "(F, 2, 25, 2)",
        ),
        _field(
            "tracked",
            _list(pa.uint8()),
            "tracking state: 0 none or absent, 1 inferred, 2 tracked",
            shape="(F, 2, 25)",
        ),
        _field("bodies_seen", pa.int32(), "body ids in the file"),
        _field("bodies_dropped", pa.int32(), "of these, not used for either actor"),
        _field("frames_dropped", pa.int32(), "frames of the file that the joints lack", "frames"),
        _field("merged", pa.int32(), "bodies written into an actor that already had one"),
        _field(
            "rules_differ",
            pa.int32(),
            "actor-frames of the joints that the rules ctrgcn and aligned give differently",
        ),
        _field(
            "note", pa.string(), "where the published rules had to be completed, how; else empty"
        ),
        *OUTCOME,
    ]
)


def skeleton(layout: SkeletonLayout) -> pa.Schema:
    """Schema of the skeleton table of a data set; NTU's is `SKELETON`."""
    if layout.fits(shipped_layout(NTU)):
        return SKELETON
    persons, joints = layout.persons, layout.count
    about, unit = ("3D joints of the persons, centred", "metres")
    if not layout.three_d:
        about = "2D joints of the persons from the centre of the image, and their scores"
        unit = "half the width and half the height of the image"
    of = {
        "joints": _field(
            "joints", _list(pa.float32()), about, unit, f"(T, {persons}, {joints}, 3)"
        ),
        "bodies": _field("bodies", pa.int8(), f"real persons, 1 to {persons}"),
    }
    if layout.colour_frame is None:
        absent = "empty: the data set has none (docs/skeletons.md)"
        of["colour"] = _field("colour", _list(pa.float32()), absent)
        of["tracked"] = _field("tracked", _list(pa.uint8()), absent)
    return pa.schema([of.get(field.name, field) for field in SKELETON])


CROP = pa.schema(
    [
        SAMPLE,
        PROMPT,
        _field("frame", pa.int32(), "index in the video, from 0"),
        _field("crop", pa.binary(), "JPEG of the people of the action, null unless usable"),
        *(
            _field(side, pa.float32(), "crop window", "video pixels")
            for side in ("x0", "y0", "x1", "y1")
        ),
        _field(
            "boxes", _list(pa.float32()), "all people found, x0 y0 x1 y1", "video pixels", "(N, 4)"
        ),
        _field("scores", _list(pa.float32()), "the detector's score of each box", shape="(N,)"),
        _field("chosen", _list(pa.int8()), "indices of the boxes that make the crop"),
        _field(
            "coverage",
            pa.float32(),
            "share of tracked colour joints inside the window around the people found, "
            "NaN when unknown",
        ),
        _field("video_width", pa.int32(), "width of the decoded frame", "pixels"),
        _field("video_height", pa.int32(), "height of the decoded frame", "pixels"),
        *OUTCOME,
    ]
)

CAPTION = pa.schema(
    [
        SAMPLE,
        PROMPT,
        _field(
            "answer",
            pa.string(),
            "the captioner's answer to the paper's question, null unless usable",
        ),
        _field("finished", pa.bool_(), "the answer ended by itself, not at the token limit"),
        _field("repeats", pa.bool_(), "the answer says a phrase three times or more in a row"),
        *OUTCOME,
    ]
)

# Of questions about whole clips: the columns of CAPTION.
CLIP_CAPTION = pa.schema(
    [
        SAMPLE,
        _field("k", pa.int8(), "null: the answer is about all crops of the sample, in order"),
        _field(
            "answer",
            pa.string(),
            "the captioner's answer to the question about the clip, null unless usable",
        ),
        *list(CAPTION)[3:],
    ]
)

PEOPLE = pa.schema(
    [
        SAMPLE,
        _field("frame", pa.int32(), "index in the video, from 0"),
        _field("person", pa.int8(), "person in the scene, from 0"),
        *(
            _field(side, pa.float32(), "true box of the person", "video pixels")
            for side in ("x0", "y0", "x1", "y1")
        ),
        _field("object", pa.string(), "object in the hand, or `nothing`"),
        _field("posture", pa.string(), "standing or sitting"),
        _field("phrase", pa.string(), "what the person is trying to do"),
        _field("action", pa.string(), "class name"),
        _field(
            "joints",
            _list(pa.float32()),
            "COCO's joints: x, y, and 1 where the joint can be seen, else 0",
            "video pixels",
            "(17, 3)",
        ),
    ]
)
ANSWERS = pa.schema(
    [
        SAMPLE,
        _field("frame", pa.int32(), "index in the video, from 0"),
        _field(
            "sentence", pa.string(), "the true answer to the paper's question for the whole frame"
        ),
    ]
)
BROKEN = pa.schema(
    [SAMPLE, _field("what", pa.string(), "how the studio broke the sample on purpose")]
)


def feature(width: int, normalised: bool | None = None) -> pa.Schema:
    """Schema of `embed/vision` and `embed/language`.

    Args:
        width: length of a feature.
        normalised: whether features have unit length; None if unknown.
    """
    length = {None: "", True: ", of unit length", False: ", not normalised"}[normalised]
    cut = (
        "the text was longer than the encoder's context and was cut, its end token kept "
        "(language only)"
    )
    return pa.schema(
        [
            SAMPLE,
            PROMPT,
            _field(
                "feature",
                _list(pa.float16(), width),
                f"the encoder's feature{length}",
                shape=f"({width},)",
            ),
            _field("truncated", pa.bool_(), cut),
            *OUTCOME,
        ]
    )


def index(benchmarks: Iterable[str]) -> pa.Schema:
    """Schema of the index: `INDEX` with one column of splits for each benchmark."""
    splits = [
        _field(name, pa.string(), f"split of benchmark {name}: train, test, or empty")
        for name in benchmarks
    ]
    return pa.schema([*list(INDEX)[: -len(OUTCOME)], *splits, *OUTCOME])


def benchmarks_of(index: pa.Table) -> list[str]:
    """The split columns of an index table: those that `INDEX` does not name."""
    return [name for name in index.column_names if name not in INDEX.names]
