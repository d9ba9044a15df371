"""Which sequences Northwestern-UCLA has, as CTR-GCN's loader lists them: 1,020 and 464.

A row is an action (1 2 3 4 5 6 8 9 11 12), a column a subject (1 to 10). A number's bits are the
episodes from 0: 1f stands for five of them.
"""

from __future__ import annotations

ACTIONS = (1, 2, 3, 4, 5, 6, 8, 9, 11, 12)
EPISODES = {  # by camera
    1: """
        1f 1f 1f 3f 1f 1f 1f 7f 1f 1f
        1f 1f 1f 1f 1f 3f 3f 1f f 3f
        1f 1f 3f 1f f 1d 1f 7f 1f 1f
        3f 3f 3f 7ff 3ff 1f 1f 1f 1f 1f
        1f 1f 1f 1f 1f f 1e 3f 1f 3f
        1f 1f 1f 1f 1f 1f 1f 3f 1f 3f
        1f 1f 1f 1f 3f f f 1f 1f 1f
        1f 1f 1f 1f 7f f f 1f 1f 1f
        1f 1f 1f 1f 1f f f 3f f 3f
        1f 1f f 3f 1f 3f 1f 1f 0 1f
    """,
    2: """
        1f 1f 1f 7f 7 17 1f 1f 1f 1f
        1f 1f 1f 1f 1f 1f 3f 1f 1f 17
        1f 1f 3f 1f 1f 7 1f f 15 f
        3ff ff 3f 3f 1f 3f 1f 1f 1f f
        1f 1f 1f 3f 1f 1f 1f 1f 1f 1f
        1f 1f 1f 1f 1f 1f 1f 1f 1f 1f
        1f 1f 1f 1f 7f f f 1f 1f 1f
        1f 1f 1f 1f 3f f f 1f 1f 1f
        1f 1f 1f f 3f 1f 1f 1f 1f f
        1f 1f 3f 3f 1f 1e 1f 1f 1f 1f
    """,
    3: """
        1f 1f ff 1f 0 1f 1f 1f 1f 1f
        1f 1f 1f 1f 1f 1f 3f 1f 1f 17
        1f 1f 3f 1f 1f 7 1f f 15 f
        1ff 1f 1f 1f 0 1f 1f 1f 1f 1f
        1f 1f 1f 1f 0 1f 3f 3f 1f 1f
        1f 1f 1f 1f 0 1f 3f 3f 1f 1f
        1f 1f 1f 1f 0 f f 1f 1f 1f
        1f 1f 1f 1f 0 f f 1f 1f 1f
        1f 1f 3f 1f 0 1f 1f 3f 1f 1f
        1f 1f 1f 1f 0 1f 1f 1f 1f 1f
    """,
}


def ucla_names() -> list[str]:
    """The 1,484 sequences."""
    return [
        f"a{action:02}_s{subject:02}_e{episode:02}_v{camera:02}"
        for camera, grid in EPISODES.items()
        for action, row in zip(ACTIONS, grid.strip().splitlines(), strict=True)
        for subject, bits in enumerate(row.split(), start=1)
        for episode in range(16)
        if int(bits, 16) >> episode & 1
    ]
