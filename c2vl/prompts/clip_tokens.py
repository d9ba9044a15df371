"""Count CLIP's tokens of a sentence, with CLIP's merges file, or a lower bound without it.

The file is `bpe_simple_vocab_16e6.txt.gz` of CLIP's repository; the package open_clip_torch holds
it too.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from c2vl.core.errors import UserError

CONTEXT = 77  # tokens that CLIP's text tower sees, with start and end token
MERGES = 49152 - 256 - 2  # lines of the file that CLIP uses, after the first line
# Pieces that CLIP splits a sentence into before merging.
SPLIT = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"


def token_counts(sentences: Sequence[str], merges: Path | None) -> np.ndarray:
    """Count the tokens of N sentences, with start and end token; (N,) int64.

    Without `merges` the count is a lower bound: one token for each word, digit or run of signs.

    Raises:
        UserError: the merges file cannot be read.
    """
    tokenizer = _tokenizer(merges)
    return np.array(
        [len(encoded.ids) + 2 for encoded in tokenizer.encode_batch_fast(list(sentences))], np.int64
    )


def _tokenizer(merges: Path | None) -> Any:
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    if merges is None:
        tokenizer = Tokenizer(models.WordLevel({"one": 0}, unk_token="one"))
        end: list[Any] = []
    else:
        pairs = _read(merges)
        letters = sorted(pre_tokenizers.ByteLevel.alphabet())
        words = [
            *letters,
            *(f"{letter}</w>" for letter in letters),
            *("".join(pair) for pair in pairs),
            "<|endoftext|>",
        ]
        vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
        tokenizer = Tokenizer(
            models.BPE(vocabulary, pairs, unk_token="<|endoftext|>", end_of_word_suffix="</w>")
        )
        end = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    cut = pre_tokenizers.Split(Regex(SPLIT), behavior="removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([cut, *end])
    return tokenizer


def _read(merges: Path) -> list[tuple[str, str]]:
    try:
        data = merges.read_bytes()
        text = (gzip.decompress(data) if merges.suffix == ".gz" else data).decode()
        pairs = [
            (first, second)
            for first, second in (line.split() for line in text.split("\n")[1 : MERGES + 1] if line)
        ]
        if not pairs:
            raise ValueError("it holds no merges")
        return pairs
    except (OSError, EOFError, ValueError, zlib.error) as error:
        why = str(error)[:80]
        raise UserError(
            f"{merges} is no merges file of CLIP ({why}); "
            "name a copy of bpe_simple_vocab_16e6.txt.gz."
        ) from None
