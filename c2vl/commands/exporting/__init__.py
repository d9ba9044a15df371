"""A trained encoder as a folder that needs nothing of this repository: ONNX, safetensors, a config and a model card."""
