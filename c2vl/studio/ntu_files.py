"""Writes the file formats of NTU RGB+D: `.skeleton` text and `_rgb.avi` videos."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from c2vl.core.errors import UserError
from c2vl.core.files import published, write_bytes
from c2vl.studio.cameras import Camera
from c2vl.studio.drawing import Image
from c2vl.studio.sensor import TRACKED, TrackedBody

JOINT_LINE = " ".join(["%.7g"] * 11) + " %d"
# The joint where the bone of each joint begins; the root has -1. Kinect reports the rotation of
# the bone that ends at a joint.
PARENTS = np.array(
    [-1, 0, 20, 2, 20, 4, 5, 6, 20, 8, 9, 10, 0, 12, 13, 14, 0, 16, 17, 18, 1, 7, 6, 11, 10]
)


def sample_name(setup: int, camera: int, subject: int, repetition: int, action: int) -> str:
    """The name `SsssCcccPpppRrrrAaaa`; all numbers count from 1."""
    return f"S{setup:03d}C{camera:03d}P{subject:03d}R{repetition:03d}A{action:03d}"


def orientations(joints: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quaternions (T, 25, 4: w x y z) from the y axis to the bone of each joint; zero at the root.

    Args:
        joints: (T, 25, 3) metres.
    """
    bone = joints - joints[:, np.maximum(PARENTS, 0)]
    bone = bone / (np.linalg.norm(bone, axis=-1, keepdims=True) + 1e-9)
    quaternion = np.stack(
        [1.0 + bone[..., 1], bone[..., 2], np.zeros_like(bone[..., 0]), -bone[..., 0]], -1
    )
    quaternion /= np.linalg.norm(quaternion, axis=-1, keepdims=True) + 1e-9
    quaternion[:, PARENTS < 0] = 0.0
    return quaternion


def skeleton_text(bodies: list[TrackedBody], frames: int, camera: Camera) -> str:
    """The text of a `.skeleton` file: the number of frames, then the bodies of each frame.

    Args:
        bodies: the tracked bodies.
        frames: number of frames.
        camera: gives the coordinates in the depth and the colour image.
    """
    blocks: list[list[str]] = [[] for _ in range(frames)]
    for body in bodies:
        columns = np.concatenate(
            [
                body.joints,
                camera.depth(body.joints),
                camera.colour(body.joints),
                orientations(body.joints),
            ],
            axis=-1,
        )
        head = f"{body.identity} 0 1 1 1 1 0"
        for row, frame in enumerate(body.frames):
            lean = body.joints[row, 20] - body.joints[row, 0]
            lines = [f"{head} {lean[0]:.6g} {lean[2]:.6g} {TRACKED}", "25"]
            for values, state in zip(columns[row].tolist(), body.states[row].tolist(), strict=True):
                lines.append(JOINT_LINE % (*values, state))
            blocks[frame].append("\n".join(lines))
    text = [str(frames)]
    for block in blocks:
        text.append(str(len(block)))
        text += block
    return "\n".join(text) + "\n"


def write_skeleton(path: Path, bodies: list[TrackedBody], frames: int, camera: Camera) -> None:
    """Write a `.skeleton` file atomically."""
    write_bytes(path, skeleton_text(bodies, frames, camera).encode())


def write_video(
    path: Path, images: Iterable[Image], size: tuple[int, int], frames_per_second: int
) -> None:
    """Write RGB images of `size` (width, height) as an AVI file (MPEG-4 part 2), atomically.

    Raises:
        UserError: OpenCV on this machine cannot write such videos.
    """
    with published(path) as temporary:
        # OpenCV chooses the container by the file name's ending.
        part = temporary.with_suffix(".avi")
        writer = cv2.VideoWriter(
            str(part), cv2.VideoWriter.fourcc(*"XVID"), frames_per_second, size
        )
        if not writer.isOpened():
            raise UserError(
                f"{path} cannot be written: OpenCV has no XVID encoder here. Run "
                "`pip install opencv-python-headless`."
            )
        for image in images:
            writer.write(image[..., ::-1])
        writer.release()
        part.replace(temporary)
