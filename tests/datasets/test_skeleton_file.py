"""The `.skeleton` parser against a plain per-line reader, on damage of every kind."""

from __future__ import annotations

import re
import time
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ntu_text import Record, naive_parse, record, text

from c2vl.datasets.skeleton_file import SkeletonError, SkeletonFile, declared_frames, parse_skeleton
from c2vl.datasets.skeletons.denoise import denoise


def clip(seed: int, frames: int = 6) -> list[Record]:
    """Two bodies that come and go; frame 2 is empty; frame 4 holds one id twice."""
    random = np.random.default_rng(seed)
    present = {0: ["7205", "-1"], 1: ["7205"], 3: ["-1"], 4: ["-1", "-1"], 5: ["7205", "-1"]}
    return [
        record(random, frame, name)
        for frame, names in present.items()
        if frame < frames
        for name in names
    ]


VALID = text(6, clip(0))


def same(file: SkeletonFile, frames: int, records: list[Record]) -> None:
    assert file.frames == frames
    assert file.frame.tolist() == [one.frame for one in records]
    assert list(file.body) == [one.body for one in records]
    np.testing.assert_array_equal(file.joints, np.stack([one.joints for one in records]))
    np.testing.assert_array_equal(file.colour, np.stack([one.colour for one in records]))
    np.testing.assert_array_equal(file.tracked, np.stack([one.tracked for one in records]))
    assert (file.joints.dtype, file.colour.dtype, file.tracked.dtype) == (
        np.float32,
        np.float32,
        np.uint8,
    )


@pytest.mark.parametrize("seed", range(4))
def test_reads_what_the_plain_reader_reads_and_what_was_written(seed: int) -> None:
    data = text(6, clip(seed))
    same(parse_skeleton(data), *naive_parse(data))
    same(parse_skeleton(data), 6, clip(seed))
    assert declared_frames(data) == 6


@pytest.mark.parametrize(
    "harmless",
    [
        VALID.replace(b"\n", b"\r\n"),
        VALID.replace(b"\n", b" \n"),
        VALID.replace(b" ", b"\t"),
        VALID.replace(b" ", b"  "),
        VALID.rstrip(b"\n"),
        VALID + b"\n\n",
        b"\n" + VALID,
        VALID + b"lines after the last frame are ignored\n",
        b"\xef\xbb\xbf" + VALID,
        b"\xef\xbb\xbf" + VALID.replace(b"\n", b"\r\n"),
    ],
    ids=[
        "crlf",
        "trailing spaces",
        "tabs",
        "double spaces",
        "no last newline",
        "blank lines",
        "leading blank",
        "extra",
        "byte order mark",
        "byte order mark and crlf",
    ],
)
def test_harmless_differences_change_nothing(harmless: bytes) -> None:
    same(parse_skeleton(harmless), 6, clip(0))
    assert declared_frames(harmless) == 6


def test_numbers_are_read_through_double_as_pythons_float() -> None:
    awkward = [
        "0.1",
        "-1e-3",
        "1E+2",
        "16777217",
        "0.30000001192092896",
        "340282.34663852886",
        "1.17549435e-39",
    ]
    lines = VALID.split(b"\n")
    for offset, number in enumerate(awkward):
        lines[4 + offset] = re.sub(rb"^\S+", number.encode(), lines[4 + offset])
    joints = parse_skeleton(b"\n".join(lines)).joints[0, : len(awkward), 0]
    np.testing.assert_array_equal(
        joints, np.array([float(number) for number in awkward]).astype(np.float32)
    )


def test_colour_outside_the_image_is_nan_but_joints_are_not() -> None:
    lines = VALID.split(b"\n")
    fields = lines[4].split()
    for token in (b"-inf", b"NaN", b"-1.#INF"):
        lines[4] = b" ".join([*fields[:5], token, *fields[6:]])
        colour = parse_skeleton(b"\n".join(lines)).colour
        assert np.isnan(colour[0, 0, 0]) and np.isfinite(colour).sum() == colour.size - 1
        lines[4] = b" ".join([token, *fields[1:]])
        with pytest.raises(SkeletonError, match="NaN or infinite"):
            parse_skeleton(b"\n".join(lines))
    lines[4] = b" ".join([b"1e39", *fields[1:]])  # infinite only once it is a float32
    with pytest.raises(SkeletonError, match="NaN or infinite"):
        parse_skeleton(b"\n".join(lines))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" \r\n\n", "empty"),
        (b"0\n", "frame count expected"),
        (b"-3\n", "frame count expected"),
        (b"3", "truncated"),
        (VALID[: len(VALID) // 2], "truncated|12 numbers|fewer than 25"),
        (VALID[:-3000], "truncated|12 numbers|fewer than 25"),
        (bytes(range(256)) * 40, "frame count expected"),
        (b"RIFF\x00\x01AVI LIST" + bytes(4000), "frame count expected"),
        (b"99999\n" + VALID.split(b"\n", 1)[1], "truncated"),
        (
            b"100001\n" + VALID.split(b"\n", 1)[1],
            "frame count expected",
        ),  # tables of so many frames would fill the memory
        (b"99999999999999999999\n1\n", "frame count expected"),
        (VALID.replace(b"6\n2\n", b"6\n5000000\n", 1), "body count expected"),
        (VALID.replace(b"6\n2\n", b"6\n-1\n", 1), "body count expected"),
        (VALID.replace(b"\n25\n", b"\n24\n", 1), "expected 25 joints, found '24'"),
        (VALID.replace(b"\n25\n", b"\n2147483648\n", 1), "expected 25 joints"),
        (VALID.replace(b" 277.5419", b"", 1), "12 numbers"),
        (VALID.replace(b" 277.5419", b" 277.5419 0", 1), "12 numbers"),
        (VALID.replace(b" 277.5419", b" \xff\xfe\x00", 1), None),
        (re.sub(rb"(?<=\n25\n)\S+", b"x", VALID, count=1), "12 numbers"),
        (VALID.replace(b"7205 0 1 1", b"7205", 1), "10 fields"),
    ],
)
def test_damage_is_a_reason(data: bytes, reason: str | None) -> None:
    if reason is None:  # a field nobody reads may hold anything
        same(parse_skeleton(data), 6, clip(0))
        return
    with pytest.raises(SkeletonError, match=reason) as caught:
        parse_skeleton(data)
    assert len(str(caught.value)) < 200 and str(caught.value).isprintable()


@pytest.mark.parametrize("cut", range(0, len(VALID) - 20, 397))
def test_a_file_cut_anywhere_is_never_read_as_whole(cut: int) -> None:
    with pytest.raises(SkeletonError):
        parse_skeleton(VALID[:cut])


SMALL = text(2, clip(0, 2))
MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["delete", "insert", "replace", "line"]),
        st.integers(0, len(SMALL)),
        st.binary(max_size=12),
    ),
    max_size=6,
)


def mutated(steps: list[tuple[str, int, bytes]]) -> bytes:
    data = SMALL
    for what, at, new in steps:
        if what == "delete":
            data = data[:at] + data[at + len(new) :]
        elif what == "insert":
            data = data[:at] + new + data[at:]
        elif what == "replace":
            data = data[:at] + new + data[at + len(new) :]
        else:
            end = data.find(b"\n", at)
            data = data[:at] + data[end:]
    return data


def survives(data: bytes) -> None:
    try:
        file = parse_skeleton(data)
    except SkeletonError as error:
        assert str(error)
        return
    assert (
        len(file.frame)
        == len(file.body)
        == len(file.joints)
        == len(file.colour)
        == len(file.tracked)
    )
    assert np.isfinite(file.joints).all() and file.tracked.max(initial=0) <= 2
    for rules in ("ctrgcn", "aligned"):
        try:
            actors = denoise(file, rules)  # type: ignore[arg-type]
        except SkeletonError as error:
            assert str(error)
            continue
        assert (
            np.isfinite(actors.joints).all()
            and actors.joints.any()
            and len(actors.colour) == file.frames
        )


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(MUTATIONS)
def test_mutated_files_raise_skeleton_errors_only(steps: list[tuple[str, int, bytes]]) -> None:
    survives(mutated(steps))


@pytest.mark.slow
def test_ten_thousand_mutated_files() -> None:
    began = time.monotonic()
    random = Random(
        0
    )  # the same mutations without hypothesis' bookkeeping, which costs ten times the parser
    for _ in range(10_000):
        steps = [
            (
                random.choice(["delete", "insert", "replace", "line"]),
                random.randrange(len(SMALL)),
                random.randbytes(random.randrange(12)),
            )
            for _ in range(random.randrange(1, 6))
        ]
        try:
            survives(mutated(steps))
        except Exception as error:
            raise AssertionError(f"{error!r} after {steps}") from error
    assert time.monotonic() - began < 120  # 15 seconds on one core: none hangs


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_raise_skeleton_errors_only(data: bytes) -> None:
    survives(data)
    survives(b"1\n1\n" + data)
