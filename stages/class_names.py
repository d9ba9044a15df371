"""Stage `class_names`: features of the classes in the encoder's space (CLIP), for zero-shot.

Reads `data/index/classes.json`, and a user's own file of descriptions if
`class_names.descriptions` names one. Writes `data/class_names/class_names.parquet`: `label`
(int16), `name`, `feature` (fixed_size_list<float32>[width]): the mean of the unit features of a
class's descriptions, or of the sentences that `class_names.templates` make of its name, scaled to
length 1 (as CLIP does for ImageNet). No stage that trains an encoder reads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from c2vl.core.errors import one_sentence
from c2vl.core.params import load_section
from c2vl.core.runlog import logged

if TYPE_CHECKING:
    import numpy as np

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

        def encode(sentences: list[str]) -> np.ndarray:
            features, cut = encoder.texts(sentences)
            if cut.any():
                long = f"{int(cut.sum())} of {len(cut)} texts are longer than the encoder reads"
                print(f"class_names: {long}; their ends are left out.")
            return features

        write_class_names(OUT, names, params, encode)
        notes["computed"] = len(names)


if __name__ == "__main__":
    main()
