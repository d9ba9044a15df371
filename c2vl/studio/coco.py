"""The 17 joints of COCO of a studio person, as a picture shows them.

| COCO | studio |
|---|---|
| shoulders, elbows, wrists, hips, knees, ankles | Kinect's joints of the same names |
| nose | the front of the head |
| eyes | where they are drawn |
| ears | both sides of the head, on the line of the shoulders |

Kinect mirrors its pictures, and so does the studio. COCO's names hold for ordinary pictures: the
left hand of a person who faces the camera is on the right. So COCO's left is Kinect's right.
"""

from __future__ import annotations

import numpy as np

from c2vl.studio.anatomy import ANKLE, ELBOW, HIP, KNEE, LEFT, RIGHT, SHOULDER, WRIST, Joint
from c2vl.studio.cameras import Camera
from c2vl.studio.drawing import Vector
from c2vl.studio.head import Head, head_of

JOINTS = 17
LIMBS = (SHOULDER, ELBOW, WRIST, HIP, KNEE, ANKLE)
SIDES = (RIGHT, LEFT)  # Kinect's names of COCO's left and right
EYES_SEEN, NOSE_SEEN, EAR_SEEN = -0.2, 0.2, 0.35  # largest depth of a direction, in 0…1


def coco_joints(camera: Camera, joints: Vector, body_height: float, height: int) -> Vector:
    """Where the camera sees COCO's joints, and which the person's own body does not hide.

    Args:
        camera: the camera.
        joints: (25, 3) in the room, metres.
        body_height: metres; the size of the head follows from it.
        height: of the image in pixels; the image has the shape 16:9.

    Returns:
        (17, 3): x and y in pixels, and 1 if the joint is inside the image and not behind the head
        or the trunk, else 0.
    """
    seen = camera.view(joints)
    scale = height / 1080.0
    pixels = camera.colour(seen) * scale
    depth = max(float(seen[Joint.HEAD, 2]), 0.3)
    head = head_of(seen, pixels, 1081.4 * scale / depth * body_height / 1.7)
    hidden = behind_trunk(seen)
    points = [*_face(head, seen, pixels[Joint.HEAD])]
    points += [
        (*pixels[pair[side]], 0.0 if hidden[pair[side]] else 1.0)
        for pair in LIMBS
        for side in SIDES
    ]
    found = np.array(points)
    inside = (found[:, :2] >= 0).all(1) & (found[:, :2] < (height * 16 // 9, height)).all(1)
    found[:, 2] *= inside
    return found


def _face(head: Head, seen: Vector, centre: Vector) -> list[tuple[float, float, float]]:
    """Nose, eyes and ears: x, y, visible."""
    across = seen[Joint.SHOULDER_LEFT] - seen[Joint.SHOULDER_RIGHT]
    across = across / (np.linalg.norm(across) + 1e-9)
    flat = np.array([across[0], -across[1]])
    nose = (
        centre
        + np.array([head.gaze[0], -head.gaze[1]]) * head.radius
        - head.up * (head.radius * 0.10)
    )
    # The eyes are drawn on both sides of the face; a head in profile has them on one line.
    turned = float(np.clip(flat @ head.aside / (head.radius * 0.27) / 0.2, -1, 1))
    points = [(*nose, float(head.gaze[2] < NOSE_SEEN))]
    for side in SIDES:
        sign = 1.0 if side == LEFT else -1.0
        eye = head.between_eyes + sign * turned * head.aside
        points.append((*eye, float(head.gaze[2] < EYES_SEEN)))
    for side in SIDES:
        sign = 1.0 if side == LEFT else -1.0
        ear = centre + sign * flat * head.radius * 0.88
        points.append((*ear, float(sign * across[2] < EAR_SEEN)))
    return points


def behind_trunk(seen: Vector) -> np.ndarray:
    """Mask (..., 25) of joints that the trunk hides: behind it, and within its width."""
    trunk = seen[..., [Joint.SPINE_MID], :]
    behind = seen[..., 2] > trunk[..., 2] + 0.09
    width = np.abs(seen[..., 0] - trunk[..., 0]) < 0.13
    height = (seen[..., 1] > seen[..., [Joint.SPINE_BASE], 1]) & (
        seen[..., 1] < seen[..., [Joint.SPINE_SHOULDER], 1]
    )
    return behind & width & height
