"""Whether a checkpoint's folder holds what turns words and pixels into a model's inputs.

transformers loads without a word what is left of a tokenizer. Then every sentence is the same.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# Each line is a whole tokenizer: a fast one, CLIP's and GPT's, BERT's, SentencePiece, tiktoken.
TOKENIZERS = (
    ("tokenizer.json",),
    ("vocab.json", "merges.txt"),
    ("vocab.txt",),
    ("*.model",),
    ("*.tiktoken",),
    ("tekken.json",),
)
IMAGES = "preprocessor_config.json"
BOTH = "processor_config.json"  # newer checkpoints have the image processor's settings in it
OF_TEXT = ("text_config", "text_config_dict", "vocab_size")  # in the config of a model with words


def missing_processor(folder: Path) -> str:
    """Say what of tokenizer and image processor is missing in `folder`; "" when nothing is.

    An example: `it has no tokenizer (tokenizer.json, or vocab.json and merges.txt, …)`.
    """
    config = settings_in(folder / "config.json")
    if any(name in config for name in OF_TEXT) and not _has_tokenizer(folder):
        first, second = (" and ".join(names) for names in TOKENIZERS[:2])
        return f"it has no tokenizer ({first}, or {second}, …)"
    if not (folder / IMAGES).is_file() and "image_processor" not in settings_in(folder / BOTH):
        return f"{IMAGES} is not there"
    return ""


def absent(folder: Path, names: tuple[str, ...]) -> str:
    """What of `names` (patterns) `folder` lacks, for an identity: ` without <name>` each."""
    return "".join(f" without {name}" for name in names if not any(folder.glob(name)))


def _has_tokenizer(folder: Path) -> bool:
    return any(all(any(folder.glob(name)) for name in names) for names in TOKENIZERS)


def settings_in(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a checkpoint; empty if there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}  # loading says what is wrong
    return content if isinstance(content, dict) else {}
