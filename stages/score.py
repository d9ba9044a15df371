"""Stage `score`: score the engines' outputs. Only this stage reads `truth/`; nothing learns of it.

Reads `data/{index,skeleton,crop,caption,embed/vision}` and, for a synthetic world,
`truth/<dataset>`. Writes `results/scores/`:

- `scores.json`: `truth` (bool); `prompts` (`crop`, `answers`, `clips`, `other_people`,
  `lowest_coverage`: `c2vl/evaluation/scores/prompt_quality.py` and `clip_quality.py`, also printed
  by `c2vl quality`; `bag_of_words[benchmark] = {all, middle, chance, train, test}`), `zero_shot =
  {top1, top5, chance1, chance5, clips, classes}`; with truth also `detector = {recall, precision,
  mean_iou, …}`, `captioner = {posture, object, phrase, all_three, commonest, balanced, …}`,
  `retrieval` and `retrieval_distinct = {image_to_text, text_to_image, candidates, …}`,
  `bag_of_words_of_truth` (the ceiling: the true sentences), `broken` (list: what each broken sample
  became).
- with truth: `confusions.json` (`posture`, `object`, `phrase`: `rows`, `columns`, `counts`) and
  `frames.parquet`, a row a sampled frame (`c2vl.evaluation.scores.frame_scores.FRAMES`).
"""

from __future__ import annotations

from pathlib import Path

from c2vl.core import machine, runlog, tables
from c2vl.core.errors import one_sentence
from c2vl.core.files import write_json
from c2vl.core.params import load_section, read_params
from c2vl.datasets.data_params import DataParams
from c2vl.evaluation.scores import ScoreParams, read_truth
from c2vl.evaluation.scores.frame_scores import FRAMES
from c2vl.evaluation.scores.gather import (
    PromptTables,
    against_truth,
    true_sentences,
    without_truth,
    zero_shot_from_names,
)
from c2vl.prompts.embed_params import EmbedParams
from c2vl.prompts.engines.encoder import Encoder

DATA, TRUTH, OUT = Path("data"), Path("truth"), Path("results/scores")


@one_sentence
def main() -> None:
    """Score the engines' outputs."""
    params = load_section("score", ScoreParams)
    with runlog.logged("score") as notes:
        given, dataset = PromptTables.read(DATA), load_section("data", DataParams).dataset
        made = dataset in (read_params().get("worlds") or ())  # else the truth is another world's
        truth = read_truth(TRUTH / dataset) if made else None
        encoder = Encoder.load(load_section("embed", EmbedParams).encoder, machine.device())
        names, _ = encoder.texts([params.class_template.format(name) for name in given.classes])
        scores = {
            "truth": truth is not None,
            "prompts": without_truth(given, params),
            "zero_shot": zero_shot_from_names(given, names),
        }
        if truth is None:
            print(
                "score: no ground truth (truth/), so the detector and the captioner are not scored."
            )
        else:
            found, scored, confusions = against_truth(given, truth, params)
            ranked = true_sentences(given, scored, lambda texts: encoder.texts(texts)[0], params)
            scores |= found | ranked
            write_json(OUT / "confusions.json", confusions)
            tables.write(
                OUT / "frames.parquet", tables.table_of((frame.row() for frame in scored), FRAMES)
            )
        write_json(OUT / "scores.json", scores)
        notes |= {"items": given.crop.num_rows, "unit": "frames"}


if __name__ == "__main__":
    main()
