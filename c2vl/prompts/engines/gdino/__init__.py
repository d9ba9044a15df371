"""groundingdino-py as the detector, in an environment of its own: it needs transformers < 5."""
