"""The stages that keep their samples in the store, for commands that look at them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from c2vl.core.errors import UserError
from c2vl.core.params import PARAMS_FILE, load_section

if TYPE_CHECKING:
    from c2vl.store.stage import Stage

DATA = Path("data")
LISTED = "index"  # the stage that lists the raw files
INDEX = DATA / LISTED / "index.parquet"


@dataclass(frozen=True)
class StoredStage:
    """A stage whose samples are in the store.

    Attributes:
        name: name of its folder in the store.
        target: its name in DVC.
        out: folder of its table.
        after: the stages whose tables it reads; the index is one of them.
        make: builds the stage from a params file.
    """

    name: str
    target: str
    out: Path
    after: tuple[str, ...]
    make: Callable[[Path], Stage]

    def open(self, params: Path = PARAMS_FILE) -> Stage:
        """Return the stage as `params` sets it.

        Raises:
            UserError: a parameter is wrong or an input is missing.
        """
        return self.make(params)


def _pose(params: Path) -> Stage:
    return _poses(params, compare=False)


def _video_skeleton(params: Path) -> Stage:
    return _poses(params, compare=True)


def _poses(params: Path, compare: bool) -> Stage:
    from c2vl.datasets.data_params import DataParams
    from c2vl.prompts.crop_params import CropParams
    from c2vl.prompts.pose.pose_params import PoseParams
    from c2vl.prompts.pose.pose_stage import PoseStage

    return PoseStage(
        load_section("pose", PoseParams, params),
        load_section("crop", CropParams, params),
        INDEX,
        load_section("data", DataParams, params).raw,
        compare,
    )


def _skeleton(params: Path) -> Stage:
    from c2vl.datasets.data_params import DataParams
    from c2vl.datasets.skeleton_params import SkeletonParams
    from c2vl.datasets.skeletons.choose_stage import choose_skeleton_stage

    return choose_skeleton_stage(
        load_section("skeleton", SkeletonParams, params),
        INDEX,
        load_section("data", DataParams, params).raw,
        DATA / "pose",
    )


def _crop(params: Path) -> Stage:
    from c2vl.datasets.data_params import DataParams
    from c2vl.prompts.crop import CropStage
    from c2vl.prompts.crop_params import CropParams

    raw = load_section("data", DataParams, params).raw
    return CropStage(load_section("crop", CropParams, params), INDEX, DATA / "skeleton", raw)


def _caption(params: Path) -> Stage:
    from c2vl.prompts.caption import CaptionParams, CaptionStage
    from c2vl.prompts.published import PublishedStage

    section = load_section("caption", CaptionParams, params)
    if section.published is not None:
        return PublishedStage(section.published, DATA / "crop", section.per == "clip")
    return CaptionStage(section, DATA / "crop")


def _vision(params: Path) -> Stage:
    from c2vl.prompts.embed import EmbedStage
    from c2vl.prompts.embed_params import EmbedParams

    return EmbedStage(load_section("embed", EmbedParams, params), "vision", DATA / "crop")


def _language(params: Path) -> Stage:
    from c2vl.prompts.embed import EmbedStage
    from c2vl.prompts.embed_params import EmbedParams

    return EmbedStage(load_section("embed", EmbedParams, params), "language", DATA / "caption")


STAGES = (
    StoredStage("pose", "pose", DATA / "pose", (LISTED,), _pose),
    StoredStage("skeleton", "skeleton", DATA / "skeleton", (LISTED, "pose"), _skeleton),
    StoredStage("crop", "crop", DATA / "crop", (LISTED, "skeleton"), _crop),
    StoredStage(
        "video_skeleton",
        "video_skeleton",
        DATA / "video_skeleton",
        (LISTED, "crop"),
        _video_skeleton,
    ),
    StoredStage("caption", "caption", DATA / "caption", ("crop",), _caption),
    StoredStage("embed-vision", "embed@vision", DATA / "embed" / "vision", ("crop",), _vision),
    StoredStage(
        "embed-language", "embed@language", DATA / "embed" / "language", ("caption",), _language
    ),
)


def stages_in_use() -> list[StoredStage]:
    """The stages that compute something: of those that find skeletons in videos, perhaps none."""
    return [
        stage
        for stage in STAGES
        if stage.make not in (_pose, _video_skeleton) or any(stage.open().shards())
    ]


def stages_named(name: str | None) -> list[StoredStage]:
    """Return the stages called `name`, here or in DVC; `embed` means both, None means all.

    Raises:
        UserError: there is no such stage.
    """
    if name is None:
        return list(STAGES)
    found = [
        stage for stage in STAGES if name in (stage.name, stage.target, stage.target.split("@")[0])
    ]
    if not found:
        raise UserError(
            f"No stage '{name}' keeps samples in the store; "
            f"those are {', '.join(stage.name for stage in STAGES)}."
        )
    return found


def needs_of(
    stored: StoredStage, params: Path = PARAMS_FILE
) -> list[tuple[str, str, dict[str, Any]]]:
    """Return what a stage uses of the store: (name there, fingerprint, what that is made of).

    Raises:
        UserError: a parameter is wrong, or an input or the engine's checkpoint is missing.
    """
    from c2vl.store.plan import described

    stage = stored.open(params)
    return [
        (stored.name, *described(stage)),
        *((step.step, step.fingerprint, step.description) for step in stage.step_caches()),
    ]
