"""The tokenizers of the three tiny engines, built offline from the studio's vocabulary.

Each covers every printable ASCII character, so no user input becomes an unknown token.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from c2vl.studio import vocabulary
from c2vl.studio.colours import COLOURS
from c2vl.studio.draws import Chance
from c2vl.studio.engines.wording import class_sentences, prompts
from c2vl.studio.poses import POSES
from c2vl.studio.seeds import generator
from c2vl.studio.sentences import Facts, say

if TYPE_CHECKING:
    from transformers import BertTokenizer, CLIPTokenizer, PreTrainedTokenizerFast

PRINTABLE = [chr(code) for code in range(33, 127)]
# `modeling_grounding_dino` has these ids of bert-base-uncased in its code, to split a prompt.
BERT_IDS = {
    "[PAD]": 0,
    "[UNK]": 100,
    "[CLS]": 101,
    "[SEP]": 102,
    "[MASK]": 103,
    ".": 1012,
    "?": 1029,
}
BERT_SIZE = 1100
DETECTOR_WORDS = ["person", "people", "man", "woman", "human", "child", "hand", "chair"]


SENTENCES = 6000  # enough to hold every word of the studio


def sentences() -> Iterator[str]:
    """True sentences and answers about random facts, also impossible ones."""
    rng = generator("corpus")

    def any_of(options: Sequence[str]) -> str:
        return options[int(rng.integers(len(options)))]

    for number in range(SENTENCES):
        facts = Facts(
            people=1 + number % 2,
            posture=any_of(vocabulary.POSTURES),
            object=any_of((vocabulary.NOTHING, *vocabulary.OBJECTS)),
            phrase=any_of(tuple(vocabulary.PHRASES.values())),
            pose=any_of(POSES),
            clear=number % 3 > 0,
            shirt=any_of(COLOURS),
            trousers=any_of(COLOURS),
            shorts=number % 5 == 0,
            long_hair=number % 7 < 3,
        )
        yield say(facts, Chance(rng), guesses=number % 4 > 0)


def detector_tokenizer() -> BertTokenizer:
    """WordPiece with BERT's special tokens at the ids that Grounding DINO expects."""
    from transformers import BertTokenizer

    pieces = [
        character for character in PRINTABLE if not character.isupper() and character not in ".?"
    ]
    words = [*DETECTOR_WORDS, *pieces, *(f"##{piece}" for piece in pieces if piece.isalnum())]
    by_id: dict[int, str] = {index: word for word, index in BERT_IDS.items()}
    waiting = iter(words)
    for index in range(BERT_SIZE):
        if index not in by_id:
            # BERT keeps 1 to 99 for unused words; we keep that layout.
            by_id[index] = f"[unused{index}]" if index < 100 else next(waiting, f"[unused{index}]")
    return BertTokenizer(
        vocab={by_id[index]: index for index in range(BERT_SIZE)},
        do_lower_case=True,
        model_max_length=64,
    )


def captioner_tokenizer() -> PreTrainedTokenizerFast:
    """BPE without bytes; words of the question and the answers are single tokens; pads on the left.

    The class is `PreTrainedTokenizerFast`, because `LlamaTokenizer` rebuilds its pre-tokenizer on
    loading, which changes ids.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"[^\w\s]|\n"), "isolated"),
            pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="never"),
        ]
    )
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="never")
    special = ["<unk>", "<s>", "</s>", "<pad>", "<image>"]
    corpus = [*prompts(), *(f" {sentence}" for sentence in sentences()), *class_sentences()]
    corpus = [text.replace("<image>", "") for text in corpus]
    trainer = trainers.BpeTrainer(
        vocab_size=900, special_tokens=special, initial_alphabet=PRINTABLE, show_progress=False
    )
    tokenizer.train_from_iterator(corpus * 3, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", special.index("<s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        padding_side="left",
        model_max_length=512,
        extra_special_tokens=["<image>"],
    )


def encoder_tokenizer() -> CLIPTokenizer:
    """CLIP's BPE over the same texts.

    Its unknown token is its end token, and CLIP pools a text there. So every character is in the
    corpus, alone and doubled (inside a word and at its end).
    """
    from transformers import CLIPTokenizer

    corpus = [*sentences(), *class_sentences()] * 3
    corpus += [text for character in PRINTABLE for text in (character, character * 2)] * 3
    tokenizer = CLIPTokenizer().train_new_from_iterator(
        corpus, vocab_size=1000, show_progress=False
    )
    tokenizer.model_max_length = 77
    return tokenizer
