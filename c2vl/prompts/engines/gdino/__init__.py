"""groundingdino-py as the detector: in an environment of its own, because it cannot share one with transformers 5."""
