"""Detector, captioner and encoder: one adapter each, for checkpoints from 1 MB to 14 GB."""

from c2vl.prompts.engines.captioner import Answer, Answerer, Captioner, CaptionerParams, NoAnswer
from c2vl.prompts.engines.detector import Detections, Detector, PeopleDetector
from c2vl.prompts.engines.detector_params import DetectorParams
from c2vl.prompts.engines.encoder import Encoder, EncoderParams
from c2vl.prompts.engines.fingerprints import fingerprint
from c2vl.prompts.engines.weights import Weights, resolve

__all__ = [
    "Answer",
    "Answerer",
    "Captioner",
    "CaptionerParams",
    "Detections",
    "Detector",
    "DetectorParams",
    "Encoder",
    "EncoderParams",
    "NoAnswer",
    "PeopleDetector",
    "Weights",
    "fingerprint",
    "resolve",
]
