"""A trained encoder as a folder of its own: ONNX, safetensors, config and model card."""
