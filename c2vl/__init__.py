"""C²VL: skeleton action representations learnt from vision-language knowledge prompts."""

__version__ = "0.2.0"
