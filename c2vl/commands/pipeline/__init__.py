"""What commands know of the pipeline: its stages, and what DVC says of them."""
