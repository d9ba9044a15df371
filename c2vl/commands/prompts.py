"""What a published answers file holds: clips, sentences, how many are unique, their length against CLIP's 77 tokens, examples.

  c2vl prompts published/pkuv2_language.zip
  c2vl prompts published/pkuv2_language.zip --merges bpe_simple_vocab_16e6.txt.gz

CLIP's merges file lies in CLIP's repository and in the package open_clip_torch; without it token counts are lower bounds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "what a published answers file holds: sentences, length, examples"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("file", type=Path, help="JSON, ZIP, or a folder of either")
    parser.add_argument(
        "--merges", type=Path, help="CLIP's bpe_simple_vocab_16e6.txt.gz, to count tokens exactly"
    )


def run(arguments: argparse.Namespace) -> None:
    """Print the numbers.

    Raises:
        UserError: the file or the merges file cannot be used.
    """
    from c2vl.prompts.published_facts import facts
    from c2vl.prompts.published_file import read_published

    print("\n".join(facts(read_published(arguments.file), arguments.merges)))
