"""People followed by the overlap of their boxes."""

from __future__ import annotations

import numpy as np

from c2vl.prompts.pose.clip import looks_at, sampled
from c2vl.prompts.pose.tracking import follow
from c2vl.prompts.pose.video_poses import MOST_FOLLOWED, followed


def seen(*places: float, width: float = 40) -> tuple[np.ndarray, np.ndarray]:
    """People of 100 pixels' height whose left edges are at `places`, the surest first."""
    boxes = np.array([[x, 50, x + width, 150] for x in places], np.float32).reshape(-1, 4)
    return boxes, np.linspace(0.9, 0.5, len(places), dtype=np.float32)


def left_edges(looks: list[int], *frames: tuple[np.ndarray, np.ndarray]) -> list[list[float]]:
    return [track.boxes[:, 0].tolist() for track in follow(looks, frames)]


def test_two_people_keep_their_tracks_in_whatever_order_they_are_found() -> None:
    frames = [seen(0, 100), seen(110, 10), seen(20, 120), seen(130, 30)]
    assert left_edges([0, 4, 8, 12], *frames) == [[0, 10, 20, 30], [100, 110, 120, 130]]


def test_a_person_who_is_missed_three_times_is_the_same_and_after_four_another() -> None:
    empty = seen()
    looks = [0, 4, 8, 12, 16]
    assert left_edges(looks, seen(0), empty, empty, empty, seen(5)) == [[0, 5]]
    assert left_edges([*looks, 20], seen(0), empty, empty, empty, empty, seen(5)) == [[0], [5]]


def test_somebody_elsewhere_is_another_person() -> None:
    assert left_edges([0, 1], seen(0), seen(200)) == [[0], [200]]


def test_a_person_found_twice_in_a_frame_is_one() -> None:
    assert left_edges([0, 1], seen(0, 3), seen(1, 4)) == [[0, 1]]


def test_boxes_move_evenly_between_looks_and_reach_the_ends_of_the_clip() -> None:
    (track,) = follow([2, 7, 12], [seen(0), seen(10), seen(20)])
    boxes = track.boxes_in(15, [2, 7, 12])
    np.testing.assert_allclose(boxes[:, 0], [0, 0, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 20, 20])
    # who is found at the second look alone is there from half-way before to half-way after it
    (track,) = follow([2, 7, 12], [seen(), seen(10), seen()])
    there = np.isfinite(track.boxes_in(15, [2, 7, 12])[:, 0])
    assert np.flatnonzero(there).tolist() == [5, 6, 7, 8, 9]


def test_glimpses_are_left_out_and_the_surest_are_followed() -> None:
    frames = [seen(*range(0, 1000, 100)), seen(*range(0, 900, 100)), seen(*range(0, 900, 100))]
    tracks = follow([0, 1, 2], frames)
    assert len(tracks) == 10
    kept = followed(tracks)
    assert [track.boxes[0, 0] for track in kept] == [100.0 * at for at in range(MOST_FOLLOWED)]
    assert len(followed(follow([0, 1], [seen(0), seen()]))) == 1  # nobody is seen more often


def test_frames_of_a_long_clip_are_spread_evenly() -> None:
    assert sampled(10, 14, 4) == (10, 11, 12, 13)
    assert sampled(0, 9000, 3) == (1500, 4500, 7500)
    for length in range(1, 60):
        frames = sampled(5, 5 + length, 20)
        assert frames == tuple(sorted(set(frames))) and frames[0] >= 5 and frames[-1] < 5 + length
        looks = looks_at(len(frames), 5)
        assert looks and max(looks) < len(frames)
