"""Facts of skeleton files of any format: hash, frames, and whether they fit the skeleton."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from c2vl.core.layout import SkeletonLayout
from c2vl.core.layout_file import NTU, shipped_layout
from c2vl.datasets.file_facts import FileFacts, on_workers, skeleton_facts, video_facts
from c2vl.datasets.formats.fit import OtherSkeletonError, fitted
from c2vl.datasets.formats.read import read_recording
from c2vl.datasets.raw_files import PlaceError
from c2vl.datasets.scan import SKELETON
from c2vl.datasets.skeleton_file import SkeletonError


def read_skeletons(raw: Path, places: Sequence[str], layout: SkeletonLayout) -> Iterator[FileFacts]:
    """Yield the facts of skeleton files at `places`, in order, using all workers.

    A file is read whole: other formats than NTU's do not declare what they hold.
    """
    return on_workers(partial(_skeleton, os.fspath(raw), layout), places, "skeletons")


def read_videos(raw: Path, places: Sequence[str]) -> Iterator[FileFacts]:
    """Yield the facts of videos at `places`, in order, using all workers."""
    return on_workers(partial(_video, os.fspath(raw)), places, "videos")


def _skeleton(raw: str, layout: SkeletonLayout, place: str) -> FileFacts:
    try:
        if place.lower().endswith(SKELETON):
            facts = skeleton_facts(Path(raw), place)
            if facts.problem or layout.fits(shipped_layout(NTU)):
                return facts
            why = f"its joints are {NTU}, not {layout.name}; set `data.skeleton`"
            return FileFacts(facts.hash, facts.frames, problem=f"{place}: {why}")
        recording, digest = read_recording(Path(raw), place)
        frames = len(recording.joints)
        try:
            fitted(recording, layout)
        except OtherSkeletonError as error:
            return FileFacts(digest, frames, problem=f"{place}: {error}; set `data.skeleton`")
        except SkeletonError as error:
            return FileFacts(digest, frames, problem=f"{place}: {error}")
        return FileFacts(digest, frames)
    except SkeletonError as error:
        return FileFacts(problem=f"{place}: {error}")
    except PlaceError as error:
        return FileFacts(problem=f"the skeleton file {place} is of no use: {error}")
    except OSError as error:
        return FileFacts(problem=f"{place} cannot be read ({error.strerror or error})")


def _video(raw: str, place: str) -> FileFacts:
    try:
        return video_facts(Path(raw), place)
    except PlaceError as error:
        return FileFacts(problem=f"the video file {place} is of no use: {error}")
    except OSError as error:
        return FileFacts(problem=f"{place} cannot be read ({error.strerror or error})")
