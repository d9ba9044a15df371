"""Writes `.skeleton` text for tests, and reads it line by line to check the parser."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Record:
    """One body in one frame."""

    frame: int
    body: str
    joints: np.ndarray  # (25, 3) float32
    colour: np.ndarray = field(default_factory=lambda: np.zeros((25, 2), np.float32))
    tracked: np.ndarray = field(default_factory=lambda: np.full(25, 2, np.uint8))


def random_joints(random: np.random.Generator, flat: bool = False) -> np.ndarray:
    """A body in front of the camera: 1.7 m tall and 0.5 m wide or, if flat, wider than tall."""
    size = (2.0, 0.5, 0.3) if flat else (0.5, 1.7, 0.3)
    return (
        random.uniform(-0.5, 0.5, (25, 3)) * size + random.uniform(-1, 1, 3) + (0, 0, 3)
    ).astype(np.float32)


def record(random: np.random.Generator, frame: int, body: str, flat: bool = False) -> Record:
    return Record(
        frame,
        body,
        random_joints(random, flat),
        random.uniform(0, 1080, (25, 2)).astype(np.float32),
        random.integers(0, 3, 25).astype(np.uint8),
    )


def text(frames: int, records: list[Record]) -> bytes:
    """A file as the Kinect recorder writes it: digits as `%.8g` or so, one line for each joint."""
    lines = [str(frames)]
    for frame in range(frames):
        present = [record for record in records if record.frame == frame]
        lines.append(str(len(present)))
        for one in present:
            lines += [f"{one.body} 0 1 1 1 1 0 0.02764709 0.05745083 2", "25"]
            for joint in range(25):
                x, y, z = (repr(float(value)) for value in one.joints[joint])
                u, v = (repr(float(value)) for value in one.colour[joint])
                numbers = "277.5419 191.8177"
                rotation = "-0.2059 0.04569 0.9692 -0.1269"
                lines.append(f"{x} {y} {z} {numbers} {u} {v} {rotation} {one.tracked[joint]}")
    return ("\n".join(lines) + "\n").encode()


def naive_parse(data: bytes) -> tuple[int, list[Record]]:
    """A plain reader for valid files, line by line."""
    lines = iter(data.decode().splitlines())
    frames = int(next(lines))
    records = []
    for frame in range(frames):
        for _ in range(int(next(lines))):
            body = next(lines).split()[0]
            joints, colour, tracked = (
                np.zeros((25, 3), np.float32),
                np.zeros((25, 2), np.float32),
                np.zeros(25, np.uint8),
            )
            for joint in range(int(next(lines))):
                numbers = next(lines).split()
                joints[joint] = [float(number) for number in numbers[:3]]
                colour[joint] = [float(number) for number in numbers[5:7]]
                tracked[joint] = int(numbers[11])
            records.append(Record(frame, body, joints, colour, tracked))
    return frames, records
