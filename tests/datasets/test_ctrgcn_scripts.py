"""`denoise` against the published scripts: text in, numbers out, equal to the bit.

A second, independent proof beside `test_ntu_rules.py`. That one follows the rules' text; this one
goes the way of CTR-GCN's `get_raw_skes_data.py`, `get_raw_denoised_data.py` and
`seq_transformation.py`: it reads lines, keeps a dictionary by body id, (T, 75) and (T, 150) arrays
and ranges of frames. Both have to give the same bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ntu_text import Record, record, text
from studio_skeletons import studio_files

from c2vl.datasets.skeleton_file import parse_skeleton
from c2vl.datasets.skeletons.denoise import denoise

Bodies = dict[str, dict[str, Any]]


class ScriptError(Exception):
    """The scripts end with a traceback on this file; what we do instead is ours to decide."""


def raw_bodies(data: bytes, aligned: bool) -> tuple[Bodies, int]:
    """Bodies by id with `joints` (n x 25, 3) and `interval`, and the number of occupied frames."""
    lines = data.decode().splitlines()
    at, valid = 1, -1
    bodies: Bodies = {}
    for _ in range(int(lines[0])):
        count = int(lines[at])
        at += 1
        if count:
            valid += 1
        for _ in range(count):
            name = lines[at].split()[0]
            joints = np.zeros((25, 3), np.float32)
            for joint in range(int(lines[at + 1])):
                joints[joint] = np.array(lines[at + 2 + joint].split()[:3], dtype=np.float32)
            at += 27
            if name in bodies:
                bodies[name]["joints"] = np.vstack([bodies[name]["joints"], joints])
                bodies[name]["interval"].append(
                    valid if aligned else bodies[name]["interval"][-1] + 1
                )
            else:
                bodies[name] = {"joints": joints, "interval": [valid]}
    if len(bodies) > 1:
        for body in bodies.values():
            body["motion"] = np.sum(np.var(body["joints"], axis=0))
    return bodies, valid + 1


def without_noise(bodies: Bodies) -> list[dict[str, Any]]:
    """By length, then by spread, then sorted by motion."""
    kept = {name: body for name, body in bodies.items() if len(body["interval"]) > 11}
    if not kept:
        raise ScriptError("no body is left")
    if len(kept) == 1:
        return list(kept.values())
    for name, body in list(kept.items()):
        if len(kept) == 1:
            break
        frames = body["joints"].reshape(-1, 25, 3)
        valid = []
        for number, joints in enumerate(frames):
            # As NumPy 1, which made the published files, computed it: a float32 times 0.8 is a
            # double.
            x_span, y_span = (joints[:, axis].max() - joints[:, axis].min() for axis in (0, 1))
            if float(x_span) <= 0.8 * float(y_span):
                valid.append(number)
        if len(valid) == len(frames):
            continue
        if (len(frames) - len(valid)) / float(len(frames)) >= 0.69754:
            del kept[name]
        else:
            body["motion"] = min(
                body["motion"], np.sum(np.var(frames[valid].reshape(-1, 3), axis=0))
            )
    return sorted(kept.values(), key=lambda body: body["motion"], reverse=True)


def write(joints: np.ndarray, columns: slice, body: dict[str, Any], aligned: bool) -> None:
    numbers = body["interval"]
    if numbers[-1] >= len(joints):
        raise ScriptError("a body is longer than the clip")
    if aligned:
        joints[numbers, columns] = body["joints"].reshape(-1, 75)
    else:
        joints[numbers[0] : numbers[-1] + 1, columns] = body["joints"].reshape(-1, 75)


def scripts(data: bytes, aligned: bool = False, copy: bool = False) -> np.ndarray:
    """(T, 2, 25, 3) float32: what the scripts save of a clip, without padding."""
    bodies, frames = raw_bodies(data, aligned)
    people = list(bodies.values()) if len(bodies) == 1 else without_noise(bodies)
    joints = np.zeros((frames, 75 if len(people) == 1 else 150), np.float32)
    write(joints, slice(0, 75), people[0], aligned)
    spans = [(people[0]["interval"][0], people[0]["interval"][-1]), (0, 0)]
    for body in people[1:]:
        start, end = body["interval"][0], body["interval"][-1]
        for actor, (start_of_actor, end_of_actor) in enumerate(spans):
            if min(end_of_actor, end) - max(start_of_actor, start) <= 0:
                write(joints, slice(75 * actor, 75 * actor + 75), body, aligned)
                spans[actor] = (min(start, start_of_actor), max(end, end_of_actor))
                break
    if len(bodies) > 1:
        joints = joints[joints.sum(axis=1) != 0]
    gone = [
        np.where(joints[:, columns].sum(axis=1) == 0)[0]
        for columns in (slice(0, 75), slice(75, 150))
    ]
    first = next(frame for frame in range(len(joints)) if np.any(joints[frame, :75] != 0))
    origin = np.copy(joints[first, 3:6])
    for frame in range(len(joints)):
        joints[frame] -= np.tile(origin, joints.shape[1] // 3)
    if joints.shape[1] == 150:
        joints[gone[0], :75] = 0
        joints[gone[1], 75:] = 0
    else:
        joints = np.hstack((joints, joints if copy else np.zeros_like(joints)))
    return joints.reshape(-1, 2, 25, 3)


def agrees(data: bytes) -> bool:
    """Assert equality to the bit for both rules and both second slots.

    Returns whether the scripts take the file at all.
    """
    taken = True
    for rules in ("ctrgcn", "aligned"):
        for solo in ("zeros", "copy"):
            try:
                expected = scripts(data, rules == "aligned", solo == "copy")
            except ScriptError:
                taken = False
                assert denoise(parse_skeleton(data), rules, solo).log.note  # type: ignore[arg-type]
                continue
            found = denoise(parse_skeleton(data), rules, solo)  # type: ignore[arg-type]
            assert found.joints.dtype == np.float32
            np.testing.assert_array_equal(found.joints, expected)
            assert not found.log.note
    return taken


def test_on_the_studios_files() -> None:
    for _, data, _ in studio_files(11, 8, 10):
        assert agrees(data)


@st.composite
def clips(draw: st.DrawFn) -> bytes:
    """Files of up to five bodies that come and go, are flat in some frames, or barely move."""
    frames = draw(st.integers(1, 32))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    records: list[Record] = []
    for name in draw(st.lists(st.sampled_from("12345"), min_size=1, max_size=5, unique=True)):
        start, stop = sorted((draw(st.integers(0, frames)), draw(st.integers(0, frames))))
        away = (
            range(*sorted((draw(st.integers(0, frames)), draw(st.integers(0, frames)))))
            if draw(st.booleans())
            else ()
        )
        flat, still = draw(st.sampled_from([0, 0, 0.3, 0.65, 0.75, 1])), draw(st.booleans())
        pose = record(random, 0, name)
        for frame in range(start, max(stop, start + 1)):
            if frame < frames and frame not in away:
                one = record(random, frame, name, random.random() < flat)
                if still:
                    one.joints = (pose.joints + one.joints * 0.001).astype(np.float32)
                records.append(one)
    for one in [one for one in records if draw(st.integers(0, 60)) == 0][
        :2
    ]:  # one id twice in a frame
        records.append(Record(one.frame, one.body, one.joints + np.float32(0.1)))
    order = draw(st.permutations("12345"))
    records.sort(key=lambda one: (one.frame, order.index(one.body)))
    return text(frames, records)


def check(data: bytes) -> None:
    if len(parse_skeleton(data).frame):
        agrees(data)


@settings(max_examples=30, deadline=None)
@given(clips())
def test_on_generated_files(data: bytes) -> None:
    check(data)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(clips())
def test_on_hundreds_of_generated_files(data: bytes) -> None:
    check(data)


EDGES: dict[str, tuple[int, dict[str, list[range]]]] = {
    "overlap of exactly one frame": (40, {"1": [range(21)], "2": [range(20, 40)]}),
    "overlap of two frames": (40, {"1": [range(22)], "2": [range(20, 40)]}),
    "an actor that appears late": (40, {"1": [range(40)], "2": [range(25, 40)]}),
    "both away in the middle": (
        40,
        {"1": [range(14), range(20, 40)], "2": [range(14), range(20, 40)]},
    ),
    "both away, a ghost remains": (
        40,
        {"1": [range(14), range(20, 40)], "2": [range(14), range(20, 40)], "3": [range(14, 20)]},
    ),
    "actor 2 begins as [0, 0]: a body from frame 0 on does not overlap it": (
        30,
        {"1": [range(30)], "2": [range(30)]},
    ),
    "four people": (40, {name: [range(40)] for name in "1234"}),
    "a lag that makes bodies overlap": (
        60,
        {"1": [range(15), range(30, 60)], "2": [range(13, 30)]},
    ),
    "one frame": (1, {"1": [range(1)]}),
    "empty frames around": (30, {"1": [range(5, 25)]}),
}


@pytest.mark.parametrize("name", EDGES)
def test_on_edges(name: str) -> None:
    frames, spans = EDGES[name]
    random = np.random.default_rng(4)
    records = [
        record(random, frame, body)
        for body, stays in spans.items()
        for stay in stays
        for frame in stay
    ]
    for seed in range(4):  # who moves most decides who is actor 1
        scale = np.random.default_rng(seed).uniform(0.5, 1.5, 9)
        for one in records:
            one.joints = (one.joints * np.float32(scale[int(one.body)])).astype(np.float32)
        assert agrees(text(frames, sorted(records, key=lambda one: one.frame)))
