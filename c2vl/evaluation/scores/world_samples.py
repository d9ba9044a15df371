"""What became of the samples broken on purpose: where each was noticed, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

Outcome = tuple[str, str, str]  # sample, status, reason


def world_samples(
    broken: Mapping[str, str], stages: Mapping[str, Iterable[Outcome]]
) -> list[dict[str, Any]]:
    """Follow every broken sample through the stages.

    Args:
        broken: what was broken, by sample.
        stages: for each stage, in order, the outcomes of its rows (several a sample where it has K
            prompts).

    Returns:
        One dictionary a broken sample, sorted: `sample`, `what`, `noticed` (the first stage with a
        row that is not ok; None if none), `reason` (that row's), and `outcomes`: statuses counted,
        by stage.
    """
    seen: dict[str, dict[str, list[Outcome]]] = {sample: {} for sample in broken}
    for stage, outcomes in stages.items():
        for outcome in outcomes:
            if outcome[0] in seen:
                seen[outcome[0]].setdefault(stage, []).append(outcome)
    followed = []
    for sample, what in sorted(broken.items()):
        bad = [
            (stage, reason)
            for stage, rows in seen[sample].items()
            for _, status, reason in rows
            if status != "ok"
        ]
        followed.append(
            {
                "sample": sample,
                "what": what,
                "noticed": bad[0][0] if bad else None,
                "reason": bad[0][1] if bad else "",
                "outcomes": {
                    stage: dict(Counter(status for _, status, _ in rows))
                    for stage, rows in seen[sample].items()
                },
            }
        )
    return followed
