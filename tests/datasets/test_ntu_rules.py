"""`denoise`, rule by rule, against a naive version that follows the rules' text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ntu_text import Record, record, text

from c2vl.core import tables
from c2vl.datasets.skeleton_file import SkeletonError, SkeletonFile, parse_skeleton
from c2vl.datasets.skeletons.actors import Actors
from c2vl.datasets.skeletons.denoise import denoise
from c2vl.datasets.skeletons.skeleton_table import with_second_slot

RULES = ("ctrgcn", "aligned")


def naive_motion(frames: list[np.ndarray]) -> Any:
    points = np.concatenate(frames)  # (frames x 25, 3)
    return np.sum(np.var(points, axis=0))


def naive_line(
    frames: int, records: list[Record], rules: str, solo: str
) -> tuple[np.ndarray, list[list[str]]]:
    """Joints (T, 2, 25, 3) and the bodies written into each slot, by plain lists and loops."""
    # Reading: frames without bodies are dropped, the rest renumbered.
    occupied = [frame for frame in range(frames) if any(one.frame == frame for one in records)]
    total = len(occupied)
    bodies: dict[str, dict[str, Any]] = {}
    for number, frame in enumerate(occupied):
        for one in records:
            if one.frame != frame:
                continue
            if one.body not in bodies:
                bodies[one.body] = {"numbers": [number], "joints": [one.joints]}
            else:
                body = bodies[one.body]
                body["numbers"].append(body["numbers"][-1] + 1 if rules == "ctrgcn" else number)
                body["joints"].append(one.joints)
    several = len(bodies) > 1
    people = list(bodies.items())
    if several:
        for body in bodies.values():
            body["motion"] = naive_motion(body["joints"])
        # 1. length
        long = [(name, body) for name, body in people if len(body["numbers"]) > 11]
        if not long:
            most = max(len(body["numbers"]) for body in bodies.values())
            long = [(name, body) for name, body in people if len(body["numbers"]) == most][:1]
        people = long
        if len(people) > 1:
            # 2. spread, while more than one body remains
            for name, body in list(people):
                if len(people) == 1:
                    break
                clean = []
                for joints in body["joints"]:
                    x, y = joints[:, 0], joints[:, 1]
                    if not float(x.max() - x.min()) > 0.8 * float(y.max() - y.min()):
                        clean.append(joints)
                noisy = len(body["joints"]) - len(clean)
                if noisy / len(body["joints"]) >= 0.69754:
                    people = [(other, kept) for other, kept in people if other != name]
                elif noisy:
                    body["motion"] = min(body["motion"], naive_motion(clean))
            # 3. motion, largest first, stable
            people = sorted(people, key=lambda item: -float(item[1]["motion"]))
    # Actors
    slots = np.zeros((total, 2, 25, 3), np.float32)
    members: list[list[str]] = [[], []]

    def put(slot: int, name: str, body: dict[str, Any]) -> None:
        members[slot].append(name)
        for number, joints in zip(body["numbers"], body["joints"], strict=True):
            if number < total:
                slots[number, slot] = joints

    put(0, *people[0])
    start1, end1 = people[0][1]["numbers"][0], people[0][1]["numbers"][-1]
    start2, end2 = 0, 0
    for name, body in people[1:]:
        start, end = body["numbers"][0], body["numbers"][-1]
        if min(end1, end) - max(start1, start) <= 0:
            put(0, name, body)
            start1, end1 = min(start, start1), max(end, end1)
        elif min(end2, end) - max(start2, start) <= 0:
            put(1, name, body)
            start2, end2 = min(start, start2), max(end, end2)
    if several:
        slots = np.array(
            [frame for frame in slots if frame[0].sum() != 0 or frame[1].sum() != 0]
        ).reshape(-1, 2, 25, 3)
    # Centring
    empty = [[frame[slot].sum() == 0 for slot in (0, 1)] for frame in slots]
    origin = next(frame[0, 1].copy() for frame in slots if np.any(frame[0] != 0))
    for number, frame in enumerate(slots):
        for slot in (0, 1):
            frame[slot] = 0 if empty[number][slot] else frame[slot] - origin
    if len(people) == 1 and solo == "copy":
        slots[:, 1] = slots[:, 0]
    return slots, members


def file_of(frames: int, records: list[Record]) -> SkeletonFile:
    """What the parser makes of `records` (`test_skeleton_file.py` proves that)."""
    return SkeletonFile(
        frames,
        np.array([one.frame for one in records], np.int32),
        tuple(one.body for one in records),
        *(
            np.stack([getattr(one, name) for one in records])
            for name in ("joints", "colour", "tracked")
        ),
    )


def agrees(
    frames: int, records: list[Record], rules: Any = "ctrgcn", solo: Any = "zeros"
) -> Actors:
    """Assert that `denoise` gives, bit for bit, what the naive version gives; return it."""
    actors = denoise(file_of(frames, records), rules, solo)
    joints, members = naive_line(frames, records, rules, solo)
    np.testing.assert_array_equal(actors.joints, joints)
    assert actors.joints.dtype == np.float32
    seen = len({one.body for one in records})
    assert actors.bodies == sum(bool(slot) for slot in members)
    assert actors.log.bodies_seen == seen
    assert actors.log.bodies_dropped == seen - sum(map(len, members))
    assert actors.log.merged == sum(max(0, len(slot) - 1) for slot in members)
    assert actors.log.frames_dropped == frames - len(joints)
    colour = np.full((frames, 2, 25, 2), np.nan, np.float32)
    tracked = np.zeros((frames, 2, 25), np.uint8)
    for slot in (0, 1):
        for name in members[slot]:
            for one in (one for one in records if one.body == name):
                colour[one.frame, slot], tracked[one.frame, slot] = one.colour, one.tracked
    np.testing.assert_array_equal(actors.colour, colour)
    np.testing.assert_array_equal(actors.tracked, tracked)
    return actors


def scene(seed: int, frames: int, **spans: Any) -> list[Record]:
    """Bodies by name, each a range or list of frames; `flat…` is wider than tall."""
    random = np.random.default_rng(seed)
    records = [
        record(random, frame, name, name.startswith("flat"))
        for name, span in spans.items()
        for frame in span
    ]
    return sorted(
        records, key=lambda one: one.frame
    )  # stable: bodies of a frame in the order of the arguments


CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "one body": (30, {"a": range(30)}),
    "one body, late, with empty frames between": (30, {"a": [*range(5, 12), *range(15, 29)]}),
    "one frame": (1, {"a": [0]}),
    "one frame, two bodies": (1, {"a": [0], "b": [0]}),
    "two bodies": (30, {"a": range(30), "b": range(30)}),
    "two bodies, one with a gap": (40, {"a": range(40), "b": [*range(5, 15), *range(20, 35)]}),
    "the only body left has a gap that nobody fills": (
        40,
        {"a": [*range(15), *range(20, 35)], "b": range(15, 20)},
    ),
    "bodies that come and go": (
        60,
        {"a": [*range(12), *range(30, 45)], "b": [*range(8, 26), *range(50, 60)]},
    ),
    "a ghost of 11 frames": (30, {"a": range(30), "b": range(11)}),
    "a guest of 12 frames": (30, {"a": range(30), "b": range(12)}),
    "every body short": (20, {"a": range(5), "b": range(4, 13), "c": range(11, 20)}),
    "three bodies": (30, {"a": range(30), "b": range(30), "c": range(30)}),
    "five bodies": (
        50,
        {"a": range(50), "b": range(20), "c": range(19, 50), "d": range(25, 45), "e": range(3, 16)},
    ),
    "a late actor": (40, {"a": range(25), "b": range(20, 40)}),
    "a second actor who leaves before the first comes": (40, {"a": range(15), "b": range(20, 40)}),
    "no overlap": (40, {"a": range(20), "b": range(20, 40)}),
    "overlap of exactly one frame": (40, {"a": range(21), "b": range(20, 40)}),
    "overlap of two frames": (40, {"a": range(22), "b": range(20, 40)}),
    "a piece of furniture": (30, {"a": range(30), "flat": range(30)}),
    "furniture first": (30, {"flat": range(30), "a": range(30), "b": range(30)}),
    "only furniture: the last one stays": (
        30,
        {"flat1": range(30), "flat2": range(30), "flat3": range(30)},
    ),
    "frames without bodies inside": (
        40,
        {"a": [*range(10), *range(14, 40)], "b": [*range(10), *range(14, 40)]},
    ),
    "one id twice in a frame": (
        30,
        {"a": [*range(10), *range(10), *range(10, 30)], "b": range(30)},
    ),
    "one id twice in a frame, alone": (20, {"a": [*range(20), 19, 19]}),
    "one id twice in every frame": (15, {"a": sorted([*range(15)] * 2), "b": range(15)}),
}


@pytest.mark.parametrize("solo", ["zeros", "copy"])
@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("name", CASES)
def test_each_rule_against_the_naive_version(name: str, rules: str, solo: str) -> None:
    frames, spans = CASES[name]
    for seed in range(3):
        agrees(frames, scene(seed, frames, **spans), rules, solo)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_coming_and_going_against_the_naive_version(data: st.DataObject) -> None:
    frames = data.draw(st.integers(1, 40))
    ids = data.draw(
        st.lists(st.sampled_from(["a", "b", "c", "flat", "d"]), min_size=1, max_size=5, unique=True)
    )
    moments = st.lists(st.integers(0, frames - 1), min_size=1, max_size=45).map(sorted)
    stay = st.tuples(st.integers(0, frames - 1), st.integers(0, frames - 1)).map(
        lambda ends: range(min(ends), max(ends) + 1)
    )
    records = scene(
        data.draw(st.integers(0, 99)), frames, **{name: data.draw(stay | moments) for name in ids}
    )
    agrees(
        frames,
        records,
        data.draw(st.sampled_from(RULES)),
        data.draw(st.sampled_from(["zeros", "copy"])),
    )


def test_a_gap_makes_a_body_lag_unless_aligned() -> None:
    records = scene(0, 40, a=range(40), b=[*range(5, 20), *range(24, 40)])
    for one in records:
        one.joints *= 1 if one.body == "a" else 0.1  # so that a, who moves most, is actor 1
    data = text(40, records)
    lagging, aligned = (
        denoise(parse_skeleton(data), rules).joints for rules in ("ctrgcn", "aligned")
    )
    at_24 = (
        next(one for one in records if (one.body, one.frame) == ("b", 24)).joints
        - records[0].joints[1]
    )
    np.testing.assert_array_equal(lagging[20, 1], at_24)  # 4 frames early
    np.testing.assert_array_equal(aligned[24, 1], at_24)
    assert not aligned[20:24, 1].any() and not lagging[36:, 1].any() and aligned[36:, 1].any()


def test_rules_differ_counts_actor_frames() -> None:
    without_gap = scene(1, 40, a=range(40), b=range(5, 40))
    assert agrees(40, without_gap).log.rules_differ == 0
    gap = scene(1, 40, a=range(40), b=[*range(5, 20), *range(24, 40)])
    # b stands at 20..35 instead of 24..39: frames 20 to 39 of its slot differ, those of a do not.
    assert denoise(file_of(40, gap), "ctrgcn").log.rules_differ == 20
    assert denoise(file_of(40, gap), "aligned").log.rules_differ == 20
    dropped = scene(1, 40, a=range(40), b=[0, 5, 9])
    assert (
        denoise(file_of(40, dropped), "ctrgcn").log.rules_differ == 0
    )  # a gap in a body nobody kept


def test_a_clip_that_only_the_other_rules_leave_nothing_of_is_used() -> None:
    records = scene(
        0, 20, a=sorted([*range(20)] * 2)
    )  # one id twice in every frame: numbers run past the end
    for one in records[:20]:
        one.joints[:] = 0
    with pytest.raises(SkeletonError, match="all zero"):
        denoise(file_of(20, records), "ctrgcn")
    assert denoise(file_of(20, records), "aligned").log.rules_differ == 10


def test_notes_say_where_the_rules_were_completed() -> None:
    assert agrees(30, scene(0, 30, a=range(30), b=range(30))).log.note == ""
    short = agrees(20, scene(0, 20, a=range(5), b=range(4, 13), c=range(11, 20))).log
    assert "kept the longest, of 9" in short.note and (short.bodies_dropped, short.merged) == (2, 0)
    assert "2 frames past the end" in agrees(20, scene(0, 20, a=[*range(20), 19, 19])).log.note


def test_copy_fills_the_slot_of_a_clip_of_one_body_only() -> None:
    merged = agrees(40, scene(0, 40, a=range(20), b=range(20, 40)), solo="copy")
    assert (
        merged.bodies == 1 and not merged.joints[:, 1].any()
    )  # two bodies in one slot are no clip of one body
    alone = agrees(30, scene(0, 30, a=range(30), b=range(11)), solo="copy")
    np.testing.assert_array_equal(alone.joints[:, 0], alone.joints[:, 1])
    assert alone.bodies == 1 and np.isnan(alone.colour[:, 1]).all()


@pytest.mark.parametrize("solo", ["zeros", "copy"])
def test_a_body_of_zeros_is_nobody(solo: Any) -> None:
    """The joints are the published ones: it takes the second slot, so nothing is copied there."""
    records = scene(0, 30, a=range(30), b=range(30))
    for one in records:
        if one.body == "b":
            one.joints[:] = 0
    actors = denoise(file_of(30, records), "ctrgcn", solo)
    joints, members = naive_line(30, records, "ctrgcn", solo)
    assert [len(slot) for slot in members] == [1, 1]
    np.testing.assert_array_equal(actors.joints, joints)
    assert actors.bodies == 1
    assert np.isnan(actors.colour[:, 1]).all() and not actors.tracked[:, 1].any()
    assert np.isfinite(actors.colour[:, 0]).all()
    row = {"sample": "S001C001P001R001A001", **actors.row(), "status": "ok", "reason": ""}
    table = with_second_slot(tables.table_of([row], tables.schemas.SKELETON), {row["sample"]: solo})
    stored = next(iter(tables.rows_of(table)))["joints"].reshape(joints.shape)
    np.testing.assert_array_equal(stored, joints)


def test_the_origin_is_joint_2_of_the_first_real_frame() -> None:
    records = scene(0, 10, a=range(10))
    joints = denoise(file_of(10, records)).joints
    np.testing.assert_array_equal(joints[0, 0, 1], np.zeros(3))
    np.testing.assert_array_equal(joints[7, 0], records[7].joints - records[0].joints[1])


def test_clips_without_people_are_reasons() -> None:
    with pytest.raises(SkeletonError, match="no frame"):
        denoise(parse_skeleton(b"3\n0\n0\n0\n"))
    nothing = scene(0, 15, a=range(15))
    for one in nothing:
        one.joints[:] = 0
    with pytest.raises(SkeletonError, match="all zero"):
        denoise(file_of(15, nothing))
    for one in nothing:
        one.joints[:] = (0.1, 0.2, 3)
    with pytest.raises(
        SkeletonError, match="one point"
    ):  # a view of nothing but zeros would stop a training
        denoise(file_of(15, nothing))
