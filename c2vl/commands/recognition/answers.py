"""What `c2vl predict` says of a file: as an object for JSON, and as lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from c2vl.commands.recognition.skeleton_inputs import Clip
from c2vl.commands.recognition.timeline import Segment
from c2vl.commands.recognition.video_inputs import FoundVideo


def best_actions(scores: np.ndarray, classes: Sequence[str], top: int) -> list[dict[str, Any]]:
    """The `top` actions of scores (classes,), best first."""
    best = sorted(range(len(classes)), key=lambda label: (-scores[label], label))[: max(top, 1)]
    return [
        {"action": classes[label], "label": label, "score": round(float(scores[label]), 6)}
        for label in best
    ]


def of_clip(clip: Clip, actions: list[dict[str, Any]], classifier: str) -> dict[str, Any]:
    """The answer about a skeleton file."""
    return {
        "file": str(clip.path),
        "frames": len(clip.joints),
        "persons": clip.persons,
        "classifier": classifier,
        "actions": actions,
    }


def of_video(
    video: FoundVideo,
    scores: Sequence[np.ndarray | None],
    segments: Sequence[Segment],
    classes: Sequence[str],
    classifier: str,
    top: int,
) -> dict[str, Any]:
    """The answer about a video; its `actions` are those of all windows' mean scores."""
    spans = video.plan.spans
    first, last = spans[0][0], spans[-1][1]
    mean = np.mean([found for found in scores if found is not None], axis=0)
    answer: dict[str, Any] = {
        "file": str(video.path),
        "frames": last - first,
        "seconds": _seconds(last - first, video.per_second),
        "persons": video.persons,
        "classifier": classifier,
        "actions": best_actions(mean, classes, top),
        "timeline": [_of_segment(one, video.per_second, classes) for one in segments],
    }
    if len(spans) > 1:
        answer["windows"] = [
            {"begin": begin, "stop": stop}
            | ({"reason": why} if found is None else {"actions": best_actions(found, classes, top)})
            for (begin, stop), found, why in zip(spans, scores, video.reasons, strict=True)
        ]
    return answer | ({"note": video.note} if video.note else {})


def _of_segment(segment: Segment, per_second: float, classes: Sequence[str]) -> dict[str, Any]:
    label = segment.label
    score = None if segment.scores is None or label is None else float(segment.scores[label])
    return {
        "begin": segment.begin,
        "stop": segment.stop,
        "begin_seconds": _seconds(segment.begin, per_second),
        "stop_seconds": _seconds(segment.stop, per_second),
        "action": None if label is None else classes[label],
        "label": label,
        "score": None if score is None else round(score, 6),
    }


def _seconds(frames: int, per_second: float) -> float | None:
    return round(frames / per_second, 3) if per_second else None


def text_of(answer: dict[str, Any]) -> str:
    """An answer as lines: the actions of one clip, or the timeline of a long video."""
    facts = [_count(answer, "frames")]
    if answer.get("seconds") is not None:
        facts.append(f"{answer['seconds']:.1f} s")
    facts.append(_count(answer, "persons"))
    windows = answer.get("windows", [])
    facts += [f"{len(windows)} windows"] if windows else []
    lines = [f"{answer['file']} ({', '.join(facts)})"]
    if windows:
        lines += map(_line, answer["timeline"])
    else:
        lines += [f"  {100 * one['score']:5.1f} %  {one['action']}" for one in answer["actions"]]
    return "\n".join(lines)


def _count(answer: dict[str, Any], name: str) -> str:
    return f"{answer[name]} {name if answer[name] != 1 else name.removesuffix('s')}"


def _line(segment: dict[str, Any]) -> str:
    timed = segment["begin_seconds"] is not None
    begin, stop = (
        f"{segment[f'{end}_seconds']:8.1f} s" if timed else f"frame {segment[end]:6}"
        for end in ("begin", "stop")
    )
    if segment["action"] is None:
        return f"  {begin} – {stop}           (nobody)"
    return f"  {begin} – {stop}  {100 * segment['score']:5.1f} %  {segment['action']}"
