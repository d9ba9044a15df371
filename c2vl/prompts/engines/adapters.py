"""Choose the adapter that runs an engine: in this process, on a server, in another environment."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from c2vl.prompts.engines.captioner import Answerer, Captioner, CaptionerParams
from c2vl.prompts.engines.detector import Detector, PeopleDetector
from c2vl.prompts.engines.detector_params import DetectorParams

if TYPE_CHECKING:
    import torch


def load_detector(params: DetectorParams, device: Callable[[], torch.device]) -> PeopleDetector:
    """Load the detector that `params` names.

    Args:
        params: section `crop.detector`.
        device: returns the device; called only if one is needed.

    Raises:
        UserError: it cannot be loaded.
    """
    if params.backend == "groundingdino":
        from c2vl.prompts.engines.gdino.client import GroundingDinoPyDetector

        return GroundingDinoPyDetector.load(params, device())
    return Detector.load(params, device())


def load_captioner(
    params: CaptionerParams, device: Callable[[], torch.device], images: int | None = None
) -> Answerer:
    """Load the captioner that `params` names, or connect to its server.

    Args:
        params: section `caption.captioner`.
        device: returns the device; called only if one is needed.
        images: crops of the longest clip, for questions about clips; None for those about crops.

    Raises:
        UserError: it cannot be loaded, its server does not answer, or it does not take `images`.
    """
    if params.server:
        from c2vl.prompts.engines.server.connection import Connection
        from c2vl.prompts.engines.server.server_captioner import ServerCaptioner

        return ServerCaptioner(params, Connection.from_environment(), images)
    if images is not None:
        from c2vl.prompts.engines.clip_captioner import ClipCaptioner

        return ClipCaptioner.of_clips(params, device(), images)
    return Captioner.load(params, device())
