"""Engine scores against hand-worked cases, a naive reference and constructed features."""

from __future__ import annotations

import argparse
import json

import numpy as np
import pyarrow as pa
import pytest

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.evaluation.ranking import wrong_before
from c2vl.evaluation.scores import (
    answers,
    bag_of_words,
    clip_quality,
    detection,
    encoder_scores,
    ground_truth,
    prompt_quality,
    world_samples,
)
from c2vl.evaluation.scores.frame_scores import FRAMES, score_frames

VOCABULARY = answers.Vocabulary(
    postures=("standing", "sitting"),
    objects=("cup", "phone", "cell phone", "book"),
    phrases=("drink something", "read a book", "put a hand to the head"),
)


def test_matching_is_one_to_one_and_the_confident_choose_first():
    true = np.array([[0, 0, 10, 10], [0, 0, 10, 12]])
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 10], [50, 50, 60, 60]])
    found = detection.match(boxes, np.array([0.9, 0.8, 0.7]), true)
    assert found.overlaps == pytest.approx((1.0, 10 / 12))  # the second takes what the first left
    # The confident box overlaps only the second truth; a less confident exact one must not
    # displace it.
    found = detection.match(
        np.array([[0, 0, 10, 10], [0, 0, 10, 10]]), np.array([0.2, 0.9]), true[:1]
    )
    assert (found.people, found.detections, found.matched) == (1, 2, 1)


def test_recall_precision_and_overlap_of_pooled_frames():
    person = np.array([[0, 0, 4, 4]])
    frames = [
        detection.match(person, np.array([1.0]), person),
        detection.match(np.zeros((0, 4)), np.zeros(0), person),  # missed
        detection.match(person, np.array([1.0]), np.zeros((0, 4))),  # nobody there
        detection.match(
            np.array([[0, 0, 4, 2]]), np.array([1.0]), person
        ),  # IoU exactly one half counts
    ]
    total = detection.summarise(frames)
    assert (total["people"], total["detections"], total["matched"], total["frames"]) == (3, 3, 2, 4)
    assert total["recall"] == total["precision"] == pytest.approx(2 / 3)
    assert total["mean_iou"] == pytest.approx(0.75)
    assert detection.summarise([])["recall"] is None


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (
            "The person is standing and holding a cup. The person is trying to drink something.",
            ("standing", "cup", "drink something"),
        ),
        ("He is SITTING, holding a  cell\nphone.", ("sitting", "cell phone", None)),
        (
            "She is trying to read a book.",
            (None, None, "read a book"),
        ),  # the book is in the phrase, not in the hand
        ("Trying to read a book, the man holds a book", (None, "book", "read a book")),
        ("They are not holding anything in their hands.", (None, "nothing", None)),
        ("The person isn't currently holding a cup; sitting", ("sitting", "nothing", None)),
        ("Two people are standing and holding nothing.", ("standing", "nothing", None)),
        ("A cup is on the table. The man is holding a phone.", (None, "phone", None)),
        ("cupboard, bookshelf, understanding", (None, None, None)),
        ("", (None, None, None)),
        ("\x00<b>&(((*[a-z", (None, None, None)),
    ],
)
def test_answers_are_read_from_any_text(text, names):
    parsed = answers.parse(text, VOCABULARY)
    assert parsed.names() == names
    for found in (parsed.posture, parsed.object, parsed.phrase):
        if found and found.name != answers.NOTHING:
            assert " ".join(text[found.start : found.end].lower().split()) == found.name


def test_synonyms_are_read_as_the_names_they_stand_for():
    words = answers.Vocabulary(
        VOCABULARY.postures,
        VOCABULARY.objects,
        VOCABULARY.phrases,
        {"cup": ["mug"], "sitting": ["seated"], "drink something": ["have a drink"]},
    )
    parsed = answers.parse("He is seated with a Mug, trying to have a drink.", words)
    assert parsed.names() == ("sitting", "cup", "drink something")
    assert parsed.object == answers.Found("cup", 20, 23)
    assert answers.parse("He is seated with a mug.", VOCABULARY).names() == (None, None, None)


def test_answer_shares_and_confusions():
    def said(text):
        return answers.parse(text, VOCABULARY)

    true = said(
        "The person is standing and holding a cup. The person is trying to drink something."
    )
    nobody = said("There are no people.")
    assert (
        answers.summarise([(true, true)] * 3 + [(said("standing"), said("sitting"))])["balanced"][
            "posture"
        ]
        == 0.5
    )
    pairs = [
        (true, true),
        (said("sitting and holding a cup, trying to read a book"), true),
        (said("no idea"), true),
        (said("standing"), nobody),
    ]
    result = answers.summarise(pairs)
    assert result["frames"] == 4
    assert result["posture"] == pytest.approx(1 / 3)  # the frame without people asks for no posture
    assert result["object"] == pytest.approx(2 / 3)
    assert result["all_three"] == pytest.approx(1 / 3)
    assert result["balanced"] == pytest.approx({"posture": 1 / 3, "object": 2 / 3, "phrase": 1 / 3})
    assert result["commonest"] == {"posture": 1.0, "object": 1.0, "phrase": 1.0}
    table = answers.confusion(pairs, "phrase", VOCABULARY.phrases)
    assert table["rows"] == ["drink something"]
    assert dict(zip(table["columns"], table["counts"][0], strict=True)) == {
        "drink something": 1,
        "read a book": 1,
        "put a hand to the head": 0,
        answers.UNREAD: 1,
    }


def test_retrieval_of_perfect_collapsed_and_random_features():
    generator = np.random.default_rng(0)
    texts = generator.normal(size=(300, 64))
    names = [f"sentence {i}" for i in range(300)]
    perfect = encoder_scores.retrieval(3 * texts, texts, names, candidates=100, draws=3)
    assert perfect["image_to_text"]["top1"] == perfect["text_to_image"]["top1"] == 1.0
    assert perfect["image_to_text"]["chance5"] == pytest.approx(0.05)
    collapsed = encoder_scores.retrieval(np.ones_like(texts), np.ones_like(texts), names)
    assert collapsed["image_to_text"]["top5"] == 0.0
    guessed = encoder_scores.retrieval(generator.normal(size=texts.shape), texts, names, draws=20)
    assert guessed["image_to_text"]["top5"] == pytest.approx(0.05, abs=0.02)


def test_equal_meanings_are_right_answers_for_each_other():
    texts = np.eye(4)[[0, 0, 1, 2]]
    images = np.eye(4)[[0, 0, 1, 3]]  # the last crop is nearest to nothing
    found = encoder_scores.retrieval(images, texts, ["a", "a", "b", "c"], candidates=4, draws=1)
    assert found["image_to_text"]["top1"] == pytest.approx(3 / 4)
    assert found["sentences"] == 3
    # Two right among four: 1 - C(2,1)/C(4,1) = 1/2; one right: 1/4.
    assert found["image_to_text"]["chance1"] == pytest.approx((0.5 + 0.5 + 0.25 + 0.25) / 4)


def test_distinct_draws_never_share_a_meaning():
    texts, images = np.eye(5)[[0, 0, 0, 0, 1, 2]], np.eye(5)[[0, 0, 0, 0, 4, 4]]
    found = encoder_scores.retrieval(
        images, texts, list("aaaabc"), candidates=100, draws=4, distinct=True
    )
    assert (found["candidates"], found["image_to_text"]["chance1"]) == (3, pytest.approx(1 / 3))
    assert found["image_to_text"]["top1"] == pytest.approx(
        1 / 3
    )  # "a" alone, however many frames show it


def test_ranks_agree_with_sorting_one_query_at_a_time():
    generator = np.random.default_rng(1)
    similarity, right = generator.normal(size=(30, 12)), generator.random((30, 12)) < 0.2
    right[:, 0] |= ~right.any(axis=1)
    for row, rank in enumerate(wrong_before(similarity, right)):
        order = np.argsort(-similarity[row])
        assert rank == next(place for place, column in enumerate(order) if right[row, column])


def test_zero_shot_by_class_name():
    names = np.eye(6)
    clips = np.eye(6)[[0, 1, 2, 3]] + 0.1
    assert encoder_scores.zero_shot(clips, names, [0, 1, 2, 4]) == {
        "clips": 4,
        "classes": 6,
        "top1": 0.75,
        "top5": 0.75,  # the fourth's name ties with four others, and ties count against the encoder
        "chance1": pytest.approx(1 / 6),
        "chance5": pytest.approx(5 / 6),
    }


def test_bag_of_words_separates_what_differs_and_guesses_what_does_not():
    generator = np.random.default_rng(0)
    words = ["drink water", "read page", "kick ball", "wave hand"]
    labels = {f"S{i:03}": i % 4 for i in range(200)}
    split = {sample: "train" if i % 3 else "test" for i, sample in enumerate(labels)} | {"S000": ""}
    clear = {
        sample: [f"they {words[label]}", "standing", f"maybe {words[label]}"]
        for sample, label in labels.items()
    }
    found = bag_of_words.bag_of_words(clear, labels, split)
    assert found["all"] == 1.0
    assert found["middle"] == pytest.approx(
        0.25, abs=0.12
    )  # the middle sentence says "standing" for every class
    assert found["chance"] == 0.25
    assert found["train"] + found["test"] == 199
    shuffled = dict(
        zip(clear, [clear[list(clear)[i]] for i in generator.permutation(200)], strict=True)
    )
    assert bag_of_words.bag_of_words(shuffled, labels, split)["all"] < 0.5
    assert bag_of_words.bag_of_words({}, {}, {})["all"] is None


def test_broken_samples_are_followed_to_where_they_were_noticed():
    followed = world_samples.world_samples(
        {"B": "truncated video", "A": "no skeleton", "C": "subtle"},
        {
            "index": [
                ("A", "excluded", "it has no skeleton file"),
                ("B", "ok", ""),
                ("C", "ok", ""),
            ],
            "crop": [
                ("B", "ok", ""),
                ("B", "failed", "frame 40 cannot be decoded"),
                ("C", "ok", ""),
                ("D", "failed", "other"),
            ],
        },
    )
    assert [(row["sample"], row["noticed"], row["reason"]) for row in followed] == [
        ("A", "index", "it has no skeleton file"),
        ("B", "crop", "frame 40 cannot be decoded"),
        ("C", None, ""),
    ]
    assert followed[1]["outcomes"] == {"index": {"ok": 1}, "crop": {"ok": 1, "failed": 1}}


def test_prompt_quality_without_truth():
    crops = pa.table(
        {
            "status": ["ok", "ok", "failed"],
            "coverage": [1.0, 0.5, float("nan")],
            "boxes": [[0.0] * 8, [0.0] * 4, None],
            "chosen": [[1], [], None],
        }
    )
    quality = prompt_quality.crop_quality(crops)
    assert (quality["fallbacks"], quality["elsewhere"]) == (0.5, 0.5)
    assert (quality["coverage"], quality["covered"], quality["boxes"]) == (0.75, 0.5, 1.5)
    assert quality["statuses"] == {"ok": 2, "failed": 1}
    said = ["They clap.", "they  clap.", "A man waits", None]
    captions = pa.table(
        {"status": ["ok"] * 3 + ["failed"], "answer": said, "finished": [True, True, False, None]}
    )
    quality = prompt_quality.answer_quality(captions, ["clap", "a (b"])
    assert quality["names_a_class"] == quality["distinct"] == pytest.approx(2 / 3)
    assert quality["unfinished"] == pytest.approx(1 / 3)
    assert quality["words"] == pytest.approx(7 / 3)


def test_frames_join_what_was_found_with_what_is_true():
    true = ground_truth.Truth(
        boxes={("S", 3): np.array([[0.0, 0, 4, 4]])},
        joints={},
        sentences={
            ("S", 3): "The person is standing and holding a cup.",
            ("S", 9): "There are no people.",
        },
        broken={},
        vocabulary=VOCABULARY,
    )
    seen = {
        "boxes": np.array([0, 0, 4, 4], np.float32),
        "scores": np.array([0.9], np.float32),
        "video_width": 10,
    }
    crops = [
        {"sample": "S", "k": 0, "frame": 3, **seen},
        {"sample": "S", "k": 1, "frame": 9, "boxes": None, "scores": None, "video_width": None},
        {"sample": "T", "k": 0, "frame": 3, **seen},  # the truth does not know it
    ]
    frames = list(score_frames(crops, {("S", 0): "sitting, holding a cup"}, true, 0.5))
    assert [(frame.sample, frame.k) for frame in frames] == [("S", 0), ("S", 1)]
    first, second = tables.rows_of(tables.table_of((frame.row() for frame in frames), FRAMES))
    assert (first["people"], first["matched"], first["posture_said"], first["posture_true"]) == (
        1,
        1,
        "sitting",
        "standing",
    )
    assert list(first["object_at"]) == [19, 22]
    assert second["people"] is None and second["answer"] is None


def test_truth_is_none_without_a_file_and_half_a_truth_is_an_error(tmp_path):
    assert ground_truth.read_truth(tmp_path) is None
    empty = {"PEOPLE": "people", "ANSWERS": "answers", "BROKEN": "broken"}
    for schema, name in empty.items():
        tables.write(
            tmp_path / f"{name}.parquet", tables.table_of([], getattr(tables.schemas, schema))
        )
    with pytest.raises(UserError, match=r"vocabulary\.json"):
        ground_truth.read_truth(tmp_path)


def test_clip_quality_by_hand():
    index = pa.table(
        {"sample": list("abcd"), "label": [0, 0, 1, 1], "status": ["ok", "ok", "ok", "excluded"]}
    )
    captions = pa.table(
        {
            "sample": ["a", "a", "b", "b", "d"],
            "answer": [
                "He sits.",
                "he  SITS.",
                "trying to clap",
                "He sits.",
                "not of a usable clip",
            ],
        }
    )
    quality = clip_quality.clip_quality(index, captions, ["clap", "jump up"])
    assert (quality["clips"], quality["without"]) == (3, pytest.approx(1 / 3))  # c has no answer
    assert quality["one_answer"] == 0.5  # a's two answers are one
    assert (quality["names_its_class"], quality["names_another_class"]) == (0.25, 0)
    assert quality["classes_of_an_answer"] == 1.0
    assert quality["commonest"][0] == {"answer": "he sits.", "share": 0.75}
    crops = pa.table(
        {"sample": ["a", "b", "c"], "k": [0, 1, 2], "coverage": [0.9, float("nan"), 0.2]}
    )
    assert [(row["sample"], row["coverage"]) for row in clip_quality.lowest_coverage(crops)] == [
        ("c", 0.2),
        ("a", 0.9),
    ]


def test_clips_whose_people_are_not_their_skeletons_are_found():
    """Of a: all joints; of b: nearly none, in the frame with people; of c: nobody is found."""
    crops = pa.table(
        {
            "sample": ["a", "a", "b", "b", "c"],
            "coverage": [1.0, 0.9, 0.1, 0.0, 0.0],
            "boxes": [[1.0] * 4, [1.0] * 4, [1.0] * 4, [], []],
        }
    )
    assert clip_quality.other_people(crops) == {
        "clips": 1,
        "samples": [{"sample": "b", "coverage": pytest.approx(0.1)}],
    }


def test_an_answer_that_names_another_class_is_not_a_hit():
    index = pa.table({"sample": ["a", "b"], "label": [0, 1], "status": ["ok", "ok"]})
    captions = pa.table({"sample": ["a", "b"], "answer": ["to put on a hat", "to put on"]})
    quality = clip_quality.clip_quality(index, captions, ["put on", "put on a hat"])
    assert (quality["names_its_class"], quality["names_another_class"]) == (
        0,
        1,
    )  # the longest name that fits is meant


def test_quality_command_says_what_to_look_at(tmp_path, monkeypatch, capsys):
    from c2vl.commands import quality
    from c2vl.core.files import write_json

    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="dvc repro caption"):
        quality.measure(tmp_path / "data")
    samples = [f"S001C001P001R001A{number:03d}" for number in range(1, 41)]
    rows = [
        {"sample": s, "label": n % 2, "action": 1, "status": "ok", "reason": ""}
        for n, s in enumerate(samples)
    ]
    tables.write(
        tmp_path / "data/index/index.parquet", tables.table_of(rows, tables.schemas.index(["xsub"]))
    )
    write_json(tmp_path / "data/index/classes.json", ["clap", "sit"])
    rows = [
        {
            "sample": s,
            "k": 0,
            "answer": "" if n < 8 else f"clap {n}",
            "finished": True,
            "repeats": False,
            "status": "ok",
            "reason": "",
        }
        for n, s in enumerate(samples)
    ]
    tables.write(
        tmp_path / "data/caption/S001C001.parquet", tables.table_of(rows, tables.schemas.CAPTION)
    )
    quality.run(argparse.Namespace(json=False, file=None))
    told = capsys.readouterr().out
    assert "look: answers, empty is 0.200 (over 0.01)" in told
    assert "look: answers, distinct" not in told
    assert "look: crop" not in told
    # Nobody found; people found elsewhere; people where the skeleton is.
    for boxes, chosen, coverage, looks in (
        ([], [], 0.0, ("coverage", "boxes", "fallbacks")),
        ([0.0] * 4, [], 0.0, ("coverage", "fallbacks", "elsewhere")),
        ([0.0] * 4, [0], 0.99, ()),
    ):
        row = {"k": 0, "boxes": boxes, "chosen": chosen, "coverage": coverage}
        rows = [{"sample": s, **row, "status": "ok", "reason": ""} for s in samples]
        tables.write(
            tmp_path / "data/crop/S001C001.parquet", tables.table_of(rows, tables.schemas.CROP)
        )
        quality.run(argparse.Namespace(json=False, file=None))
        told = capsys.readouterr().out
        for name in ("coverage", "boxes", "fallbacks", "elsewhere"):
            assert (f"look: crop, {name} is" in told) == (name in looks)
        swapped = "in 40 clips, such as S001C001P001R001A001, the people found are not"
        assert (swapped in told) == ("elsewhere" in looks)
    quality.run(argparse.Namespace(json=True, file=None))
    assert json.loads(capsys.readouterr().out)["clips"]["names_its_class"] == pytest.approx(16 / 40)


@pytest.mark.parametrize(
    ("clips", "classes", "leaks"), [(1, 1, False), (20, 4, False), (60, 4, True)]
)
def test_quality_warns_of_leakage_only_where_clips_share_answers(clips, classes, leaks):
    from c2vl.commands.quality import lines

    samples = [f"S001C001P001R001A{number:03d}" for number in range(1, clips + 1)]
    labels = [number % classes for number in range(clips)]
    index = pa.table({"sample": samples, "label": labels, "status": ["ok"] * clips})
    for given, warned in (([f"class {one}" for one in labels], leaks), (samples, False)):
        captions = pa.table({"sample": samples, "answer": given})
        found = clip_quality.clip_quality(index, captions, [])
        found["sharing_an_answer"] = clip_quality.clips_sharing_an_answer(index, captions)
        assert any("labels may leak" in line for line in lines({"clips": found})) == warned
