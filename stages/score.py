"""Stage `score`: score the engines' outputs. Only this stage reads `truth/`: no training sees it.

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
- with truth and `pose.compare` also `pose = {pck, pck_box, pck_<joint>, unbroken, …}`
  (`c2vl/evaluation/scores/poses.py`).
- with truth: `confusions.json` (`posture`, `object`, `phrase`: `rows`, `columns`, `counts`) and
  `frames.parquet`, a row a sampled frame (`c2vl.evaluation.scores.frame_scores.FRAMES`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from c2vl.core import machine, runlog, tables
from c2vl.core.errors import one_sentence
from c2vl.core.files import write_json
from c2vl.core.layout_file import layout_beside
from c2vl.core.params import load_section, read_params
from c2vl.core.tables.schemas import OK
from c2vl.datasets.data_params import DataParams
from c2vl.datasets.image_joints import columns_of, image_joints, on_video, video_size
from c2vl.evaluation.scores import ScoreParams, read_truth
from c2vl.evaluation.scores.frame_scores import FRAMES
from c2vl.evaluation.scores.gather import (
    PromptTables,
    against_truth,
    true_sentences,
    without_truth,
    zero_shot_from_names,
)
from c2vl.evaluation.scores.poses import FoundPoses, pose_scores
from c2vl.prompts.embed_params import EmbedParams
from c2vl.prompts.engines.encoder import Encoder
from c2vl.prompts.pose.clip import sampled

DATA, TRUTH, OUT = Path("data"), Path("truth"), Path("results/scores")
VIDEO_SKELETONS = DATA / "video_skeleton"


def found_poses(index: pa.Table) -> Iterator[FoundPoses]:
    """The skeletons found in videos, in pixels (none without `pose.compare`)."""
    if not any(VIDEO_SKELETONS.glob("*.parquet")):
        return
    layout = layout_beside(VIDEO_SKELETONS / "table")
    videos = {row["sample"]: row for row in index.to_pylist()}
    columns = ["sample", "status", "frames", *columns_of(layout)]
    for _, table in tables.shards(VIDEO_SKELETONS, columns):
        for row in tables.rows_of(table.filter(pc.equal(table["status"], OK))):
            placed, video = image_joints(row, layout), videos[row["sample"]]
            size = video_size(video)
            if placed is None or size is None:
                continue
            begin, points = video["clip_begin"] or 0, on_video(placed.points, placed.size, *size)
            looked = row["frames"] + row["frames_dropped"]
            frames = sampled(begin, begin + row["file_frames"], looked)[: len(points)]
            yield FoundPoses(row["sample"], np.array(frames), points)


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
            if video_poses := pose_scores(found_poses(given.index), truth):
                scores["pose"] = video_poses
            write_json(OUT / "confusions.json", confusions)
            tables.write(
                OUT / "frames.parquet", tables.table_of((frame.row() for frame in scored), FRAMES)
            )
        write_json(OUT / "scores.json", scores)
        notes |= {"items": given.crop.num_rows, "unit": "frames"}


if __name__ == "__main__":
    main()
