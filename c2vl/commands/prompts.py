"""Show what a published answers file holds.

  c2vl prompts published/pkuv2_language.zip
  c2vl prompts published/pkuv2_language.zip --merges bpe_simple_vocab_16e6.txt.gz

Prints the number of clips and sentences, how many are unique, their length compared with CLIP's 77
tokens, and examples. CLIP's merges file is in CLIP's repository and in the package open_clip_torch.
Without it, token counts are lower bounds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "show what a published answers file holds"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "file", type=Path, help="a JSON file, a ZIP of JSON files, or a folder of either"
    )
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
