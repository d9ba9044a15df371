"""Stage `class_names`: features of the class names (CLIP), for zero-shot recognition.

Reads `data/index/classes.json`. Writes `data/class_names/class_names.parquet`: `label` (int16),
`name`, `feature` (fixed_size_list<float32>[width]): the mean over `class_names.templates` of the
sentences' unit features, scaled to length 1 (as CLIP does for ImageNet). No stage that trains an
encoder reads it.
"""

from __future__ import annotations

from pathlib import Path

from c2vl.core.errors import one_sentence
from c2vl.core.params import load_section
from c2vl.core.runlog import logged

DATA, OUT = Path("data"), Path("data/class_names")


@one_sentence
def main() -> None:
    """Encode the class names."""
    from c2vl.core import machine
    from c2vl.core.tables.class_list import read_class_list
    from c2vl.prompts.class_names import ClassNamesParams, write_class_names
    from c2vl.prompts.embed_params import EmbedParams
    from c2vl.prompts.engines.encoder import Encoder

    params = load_section("class_names", ClassNamesParams)
    with logged("class_names") as notes:
        encoder = Encoder.load(load_section("embed", EmbedParams).encoder, machine.device())
        names = read_class_list(DATA)
        write_class_names(OUT, names, params, lambda sentences: encoder.texts(sentences)[0])
        notes["computed"] = len(names)


if __name__ == "__main__":
    main()
