"""C²VL: skeleton action representations learnt from vision-language knowledge prompts."""

import logging

__version__ = "0.2.0"

logging.getLogger(__name__).addHandler(logging.NullHandler())  # silent; c2vl.core.messages
