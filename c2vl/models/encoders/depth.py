"""How many blocks each stage of a ST-GCN-like encoder has."""

from __future__ import annotations

STAGES = (4, 3, 3)


def stage_sizes(blocks: int) -> list[int]:
    """Blocks in each of the three stages: (4, 3, 3) at 10; fewer come off the longest stage.

    Of equally long stages the last gives way, so 9 is (3, 3, 3), 8 is (3, 3, 2) and 6 is (2, 2, 2).

    Raises:
        ValueError: fewer than 3 or more than 10 blocks.
    """
    if not len(STAGES) <= blocks <= sum(STAGES):
        raise ValueError(f"the encoder has {len(STAGES)} to {sum(STAGES)} blocks, not {blocks}")
    sizes = list(STAGES)
    while sum(sizes) > blocks:
        sizes[max(range(len(sizes)), key=lambda stage: (sizes[stage], stage))] -= 1
    return sizes


def block_plan(blocks: int, width: int) -> list[tuple[int, int]]:
    """(output channels, stride in time) of each block; a stage doubles `width`, halves time."""
    return [
        (width << stage, 2 if stage > 0 and position == 0 else 1)
        for stage, size in enumerate(stage_sizes(blocks))
        for position in range(size)
    ]
