"""Training of the tiny engines: losses against values computed by hand, and a few real steps."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from c2vl.studio import vocabulary
from c2vl.studio.colours import COLOURS
from c2vl.studio.draws import Chance
from c2vl.studio.engines.stills_on_disk import Note
from c2vl.studio.engines.targets import PARTS, PHRASES, parts_of
from c2vl.studio.poses import POSES
from c2vl.studio.sentences import Facts, say

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.usefixtures("one_thread")


# --- tokenizers


def test_no_text_becomes_an_unknown_token(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from c2vl.studio.engines.tokenizers import (
        PRINTABLE,
        captioner_tokenizer,
        detector_tokenizer,
        encoder_tokenizer,
        sentences,
    )
    from c2vl.studio.engines.wording import class_sentences, prompts

    texts = [
        *sentences(),
        *class_sentences(),
        *(p.replace("<image>", "") for p in prompts()),
        " ".join(PRINTABLE),
        "Zq#7~",
    ]
    for name, make in (
        ("bert", detector_tokenizer),
        ("llama", captioner_tokenizer),
        ("clip", encoder_tokenizer),
    ):
        built = make()
        built.save_pretrained(tmp_path / name)
        loaded = AutoTokenizer.from_pretrained(tmp_path / name, local_files_only=True)
        for text in texts:
            tokens = built(text)["input_ids"]
            assert tokens == loaded(text)["input_ids"], f"{name} changed by saving: {text}"
            # CLIP's unknown token is its end token.
            inner = tokens[1:-1] if name == "clip" else tokens
            assert built.unk_token_id not in inner, f"{name}: {text}"


def test_the_captioner_tokenizer_round_trips_answers_and_has_a_token_for_each_word() -> None:
    import re

    from c2vl.studio.engines.tokenizers import captioner_tokenizer, sentences

    tokenizer = captioner_tokenizer()
    for sentence in sentences():
        tokens = tokenizer(f" {sentence}", add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(tokens).strip() == sentence
        assert len(tokens) == len(re.findall(r"\w+|[.,]", sentence))
        assert len(tokens) < 48  # max_new_tokens of the demo profile, end token included


def test_special_tokens_have_the_ids_that_grounding_dino_expects() -> None:
    from transformers.models.grounding_dino.modeling_grounding_dino import SPECIAL_TOKENS

    from c2vl.studio.engines.detector_loss import PERSON
    from c2vl.studio.engines.tokenizers import detector_tokenizer
    from c2vl.studio.engines.train_detector import PROMPT

    tokenizer = detector_tokenizer()
    assert tokenizer("person.")["input_ids"] == list(PROMPT)
    assert tokenizer.convert_ids_to_tokens(PROMPT[PERSON]) == "person"
    assert tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]", ".", "?"]) == SPECIAL_TOKENS


# --- what an answer means


def facts(**changes: Any) -> Facts:
    plain = Facts(
        people=1,
        posture="standing",
        object=vocabulary.NOTHING,
        phrase=PHRASES[0],
        pose=POSES[0],
        clear=True,
        shirt="blue",
        trousers="grey",
        shorts=False,
        long_hair=False,
    )
    return replace(plain, **changes)


def test_parts_are_indices_of_the_facts() -> None:
    found = parts_of(facts(posture="sitting", object="bag", shirt="brown"), "read")
    assert found == (1, 5, 0, 4, 0, COLOURS.index("brown"), COLOURS.index("grey"))
    assert all(index < size for index, size in zip(found, PARTS.values(), strict=True))


# --- the look of a crop


def test_a_look_is_the_same_in_the_mirror_and_in_another_light() -> None:
    from c2vl.studio.engines.look import NUMBERS, looks

    rng = np.random.default_rng(0)
    pictures = rng.integers(40, 180, (6, 8, 8, 3)).repeat(8, 1).repeat(8, 2).astype(np.uint8)
    found = looks(pictures)
    assert found.shape == (6, NUMBERS)
    np.testing.assert_allclose(found.std(0), 1, atol=1e-5)
    np.testing.assert_allclose(looks(pictures[:, :, ::-1]), found, atol=1e-4)
    np.testing.assert_allclose(looks(pictures + 30), found, atol=1e-4)


def test_draws_of_a_look_are_spread_evenly_and_change_little_with_it() -> None:
    from c2vl.studio.engines.look import NUMBERS, Look

    rng = np.random.default_rng(0)
    many = rng.normal(size=(2000, NUMBERS))
    for choice in ("start", "extra"):
        numbers = np.array([Look(look).number(choice) for look in many])
        np.testing.assert_allclose(np.histogram(numbers, 5, (0, 1))[0] / 2000, 0.2, atol=0.03)
        nearby = np.array([Look(look + 0.01).number(choice) for look in many])
        assert np.median(abs(nearby - numbers)) < 0.03
    assert Look(many[0]).number("start") != Look(many[0]).number("extra")


# --- the dense proposal loss


def test_cells_near_a_person_s_centre_are_positive() -> None:
    from c2vl.studio.engines.detector_loss import assign, cell_centres

    centres = cell_centres([(2, 4), (1, 1)])
    expected = [[x, y] for y in (0.25, 0.75) for x in (0.125, 0.375, 0.625, 0.875)] + [[0.5, 0.5]]
    np.testing.assert_allclose(centres, expected)
    # A wide box over the right half of the upper row, and one too small to hold any cell's centre.
    boxes = torch.tensor([[0.75, 0.25, 0.56, 0.6], [0.10, 0.70, 0.02, 0.02]])
    cells, person, central = assign(centres, boxes)
    # |0.625 - 0.75| / 0.28 = 0.446 < 0.45, and (1, 0) is the cell nearest to the small box.
    assert dict(zip(cells.tolist(), person.tolist(), strict=True)) == {2: 0, 3: 0, 4: 1}
    assert central[0] == pytest.approx(0.125 / 0.28, abs=1e-5)


def test_giou_matches_values_computed_by_hand() -> None:
    from c2vl.studio.engines.detector_loss import paired_giou

    first = torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.25, 0.5, 0.5, 1.0], [0.1, 0.5, 0.2, 0.2]])
    second = torch.tensor([[0.5, 0.5, 0.4, 0.4], [0.5, 0.5, 0.5, 1.0], [0.9, 0.5, 0.2, 0.2]])
    # Equal boxes; overlap of a quarter (1/3, hull 0.75 = union); apart (0 - (0.2 - 0.08) / 0.2).
    np.testing.assert_allclose(paired_giou(first, second), [1, 1 / 3, -0.6], atol=1e-6)


def test_dense_loss_matches_values_computed_by_hand() -> None:
    from c2vl.studio.engines.detector_loss import PERSON, dense_proposal_loss

    centres = torch.tensor([[0.25, 0.5], [0.5, 0.5], [0.75, 0.5]])
    truth = torch.tensor([[0.5, 0.5, 0.2, 0.4]])  # only the middle cell is positive
    box_logits = torch.logit(torch.tensor([[0.5, 0.5, 0.2, 0.2]])).repeat(1, 3, 1)
    class_logits = torch.zeros(1, 3, 4)
    loss = dense_proposal_loss(class_logits, box_logits, torch.zeros(1, 3), centres, [truth])
    # Every logit is 0: chance 1/2, focal weight 1/4, entropy ln 2. One positive, the rest negative.
    score = (0.25 * 1 + 0.75 * (3 * 4 - 1)) * 0.25 * math.log(2)
    every = (0.25 * 1 + 0.75 * 2) * 0.25 * math.log(2)
    # Height 0.2 of 0.4: L1 0.2; inside, half as large, hull = union.
    boxes = 5 * 0.2 + 2 * (1 - 0.5)
    assert float(loss) == pytest.approx(2 * score + 2 * every + boxes, abs=1e-5)
    # Raising the right cell's score lowers the loss, raising a wrong one's does not.
    for cell, better in ((1, True), (0, False)):
        changed = class_logits.clone()
        changed[0, cell, PERSON] = 1.0
        assert (
            float(dense_proposal_loss(changed, box_logits, torch.zeros(1, 3), centres, [truth]))
            < float(loss)
        ) is better


def test_one_cell_per_person_scores_and_invalid_cells_are_ignored() -> None:
    from c2vl.studio.engines.detector_loss import dense_proposal_loss

    centres = torch.tensor([[0.45, 0.5], [0.5, 0.5], [0.55, 0.5]])
    truth = torch.tensor([[0.5, 0.5, 0.4, 0.4]])
    box_logits = torch.logit(
        torch.tensor([[0.5, 0.5, 0.4, 0.2], [0.5, 0.5, 0.4, 0.4], [0.5, 0.5, 0.1, 0.4]])
    )[None]
    logits = torch.zeros(1, 3, 4, requires_grad=True)
    dense_proposal_loss(logits, box_logits, torch.zeros(1, 3), centres, [truth]).backward()
    # Descent raises only the best-fitting cell's score.
    assert (logits.grad[0, :, 1] < 0).tolist() == [False, True, False]
    box_logits[0, 0] = torch.inf
    assert torch.isfinite(
        dense_proposal_loss(logits, box_logits, torch.zeros(1, 3), centres, [truth])
    )
    empty = dense_proposal_loss(
        logits, box_logits, torch.zeros(1, 3), centres, [torch.zeros(0, 4)]
    ).detach()
    assert torch.isfinite(empty) and float(empty) > 0


# --- the contrastive loss, augmentation, schedule


def test_contrastive_loss_matches_values_computed_by_hand() -> None:
    from c2vl.studio.engines.contrast import contrastive_loss

    texts = torch.eye(3)
    images = torch.tensor([[1.0, 0, 0], [1.0, 0, 0], [0, 1.0, 0]])
    right = torch.tensor([0, 0, 1])
    loss = contrastive_loss(images, texts, right, torch.tensor(2.0))
    to_texts = math.log(math.exp(2) + 2) - 2  # each image: its text 2, the two others 0
    # Text 0 against images (2, 2, 0), both right; text 1 against (0, 0, 2); text 2 is not in the
    # batch.
    to_images = ((math.log(2 * math.exp(2) + 1) - 2) + (math.log(math.exp(2) + 2) - 2)) / 2
    assert float(loss) == pytest.approx((to_texts + to_images) / 2, abs=1e-6)


def test_mirroring_swaps_sides_and_twice_changes_nothing() -> None:
    from c2vl.studio.engines.augment import mirrored_boxes, mirrored_joints

    joints = np.random.default_rng(0).random((2, 25, 2)).astype(np.float32)
    np.testing.assert_allclose(mirrored_joints(mirrored_joints(joints)), joints, atol=1e-6)
    left_hand, right_hand = 7, 11  # 0-based, joints 8 and 12 of the NTU numbering
    np.testing.assert_allclose(
        mirrored_joints(joints)[:, right_hand, 0], 1 - joints[:, left_hand, 0]
    )
    np.testing.assert_allclose(
        mirrored_boxes(np.array([[0.2, 0.5, 0.1, 0.3]])), [[0.8, 0.5, 0.1, 0.3]]
    )


def test_joint_cells_are_the_patches_with_the_joints() -> None:
    from c2vl.studio.engines.heads import GRID, JOINTS, joint_cells

    joints = np.full((1, 25, 2), np.nan, np.float32)
    joints[0, JOINTS[0]] = (0.5 / GRID, 2.5 / GRID)  # column 0, row 2
    joints[0, JOINTS[1]] = (1.2, 0.5)  # outside
    assert joint_cells(joints)[0].tolist() == [2 * GRID, *[-100] * (len(JOINTS) - 1)]


def test_the_learning_rate_warms_up_and_falls_to_its_floor() -> None:
    from c2vl.studio.engines.train_loop import Budget, rate_at

    assert rate_at(0.0, 0, 1.0) == pytest.approx(0.01) and rate_at(0.0, 99, 1.0) == pytest.approx(
        1.0
    )
    assert rate_at(0.5, 1000, 1.0) == pytest.approx(0.5) and rate_at(
        1.0, 1000, 1.0
    ) == pytest.approx(0.01)
    assert [Budget(steps=4).spent(step) for step in (0, 2, 4, 9)] == [0, 0.5, 1, 1]


# --- a few steps


class FewFrames:
    """Bright upright boxes on a dark background, with the interface of `Frames`."""

    def __init__(self, count: int) -> None:
        rng = np.random.default_rng(0)
        self.notes, self._frames = [], []
        for _ in range(count):
            x, y = rng.integers(20, 300), rng.integers(10, 60)
            frame = np.full((216, 384, 3), 40, np.uint8)
            frame[y : y + 120, x : x + 50] = 220
            box = np.array([[x, y, x + 50, y + 120]], np.float32)
            self.notes.append(
                Note(
                    box,
                    np.zeros((1, 25, 2), np.float32),
                    np.array([[[x + 3 * at, y + 7 * at, 1] for at in range(17)]], np.float32),
                    (facts(),),
                    (vocabulary.ACTIONS[0],),
                    False,
                )
            )
            self._frames.append(frame)

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> np.ndarray:
        return self._frames[index]


def test_a_few_steps_lower_the_detector_s_loss_and_it_reloads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from c2vl.prompts.engines import Detector, DetectorParams
    from c2vl.studio.engines import train_detector
    from c2vl.studio.engines.train_loop import Budget

    monkeypatch.setattr(train_detector, "BATCH", 4)
    frames: Any = FewFrames(8)
    task = train_detector.DetectorTask(frames, seed=0)
    first = float(task.losses()["dense"].detach())
    record = train_detector.run(frames, Budget(steps=12), seed=0, out=tmp_path / "detector")
    assert record["steps"] == 12 and record["dense"] < 0.9 * first
    found = Detector.load(
        DetectorParams(model=str(tmp_path / "detector"), box_threshold=0.0), "cpu"
    )([frames[0]])
    assert len(found[0].boxes)


def test_a_few_steps_lower_the_pose_engine_s_losses_and_it_reloads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from c2vl.prompts.engines.pose import PoseEngine, PoseEngineParams
    from c2vl.studio.engines import train_pose
    from c2vl.studio.engines.train_loop import Budget

    monkeypatch.setattr(train_pose, "BATCH", 8)
    frames: Any = FewFrames(8)
    losses = train_pose.PoseTask(frames, 0).losses()
    first = {name: float(loss.detach()) for name, loss in losses.items()}
    record = train_pose.run(frames, Budget(steps=25), seed=0, out=tmp_path / "pose")
    assert record["steps"] == 25 and all(record[name] < first[name] for name in first)
    engine = PoseEngine.load(PoseEngineParams(model=str(tmp_path / "pose")), "cpu")
    assert engine([frames[0]], [frames.notes[0].boxes[0]]).shape == (1, 17, 3)


def test_true_heatmaps_peak_at_the_joints_and_mirroring_swaps_sides() -> None:
    from c2vl.studio.engines.configs import POSE_JOINTS
    from c2vl.studio.engines.train_pose import HIDDEN, MIRRORED, peaks

    joints = np.zeros((1, 17, 3))
    joints[0, :, 2] = 1
    joints[0, 3] = 10 / 23, 16 / 31, 0  # hidden
    made = peaks(joints, (32, 24))
    assert np.unravel_index(made[0, 3].argmax(), (32, 24)) == (16, 10)
    assert made[0, 3].max() == HIDDEN and made[0, 0, 0, 0] == 1
    other = {"left": "right", "right": "left"}
    for joint, mirrored in enumerate(MIRRORED):
        side, _, part = POSE_JOINTS[joint].partition(" ")
        assert POSE_JOINTS[mirrored] == (f"{other[side]} {part}" if part else side)


def test_a_few_steps_lower_every_loss_of_the_tower_and_engines_continue_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from c2vl.studio.engines import train_tower
    from c2vl.studio.engines.configs import TOWER_SIZE
    from c2vl.studio.engines.look import NUMBERS
    from c2vl.studio.engines.train_loop import Budget, train
    from c2vl.studio.engines.training_crops import Crops

    shown = [facts(posture=posture, object="cup") for posture in vocabulary.POSTURES]
    chance = Chance(np.random.default_rng(0))
    sentences = np.array([say(one, chance) for one in shown])
    pictures = np.stack(
        [np.full((TOWER_SIZE, TOWER_SIZE, 3), level, np.uint8) for level in (30, 220)]
    )
    rows = np.arange(16) % 2
    crops = Crops(
        pictures[rows],
        np.full((16, 25, 2), 0.5625, np.float32),
        np.array([parts_of(shown[row], vocabulary.ACTIONS[row]) for row in rows]),
        (rows[:, None] * 2.0 - 1).repeat(NUMBERS, 1).astype(np.float32),
        sentences[rows],
        sentences[rows],
    )
    monkeypatch.setitem(
        train_tower.RECIPES, "tower", replace(train_tower.RECIPES["tower"], batch=16)
    )
    task = train_tower.TowerTask(crops, train_tower.RECIPES["tower"], seed=0)
    first = {name: float(value.detach()) for name, value in task.losses().items()}
    # The warm-up starts at a hundredth of the rate.
    train("tower", task.parameters(), task.losses, Budget(steps=8), rate=1e-2, weight_decay=0.0)
    last = {name: float(value.detach()) for name, value in task.losses().items()}
    assert set(last) == {
        *("joints", "held", "worn", "parts", "look", "sentences", "names", "answers")
    }
    assert all(last[name] < first[name] for name in last), (first, last)
    train_tower.run("tower", crops, Budget(steps=1), 0, tmp_path)
    start = {engine: tmp_path / engine for engine in ("encoder", "captioner")}
    alone = train_tower.TowerTask(crops, train_tower.RECIPES["captioner"], seed=5, start=start)
    trained = alone.captioner.model.vision_tower.state_dict()
    encoder = train_tower.TowerTask(
        crops, train_tower.RECIPES["encoder"], seed=6, start=start
    ).encoder
    # Both engines start from one and the same tower.
    assert all(
        torch.equal(trained[name], weight)
        for name, weight in encoder.vision_model.state_dict().items()
    )


def test_training_goes_on_with_another_vocabulary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tokenizers import models
    from transformers import PreTrainedTokenizerFast

    from c2vl.studio.engines import train_tower
    from c2vl.studio.engines.checkpoints import build, save

    trained, model = build("captioner"), build("captioner")
    save("captioner", trained, tmp_path / "captioner")
    # Today's tokenizer knows the old tokens in another order, and one more.
    before = train_tower.captioner_tokenizer().get_vocab()
    tokens = [*sorted(before), "new"]
    model.resize_token_embeddings(len(tokens))
    from tokenizers import Tokenizer

    words = Tokenizer(models.WordLevel({token: at for at, token in enumerate(tokens)}, "<unk>"))
    monkeypatch.setitem(
        train_tower.TOKENIZERS,
        "captioner",
        lambda: PreTrainedTokenizerFast(tokenizer_object=words),
    )
    found = train_tower.carried(model, trained, "captioner", tmp_path / "captioner")
    for name in ("lm_head.weight", "model.language_model.embed_tokens.weight"):
        rows = trained.state_dict()[name]
        for at in (0, 100, len(tokens) - 2):
            assert torch.equal(found[name][at], rows[before[tokens[at]]])
        assert torch.equal(found[name][-1], model.state_dict()[name][-1])
    tower = [name for name in found if "vision_tower" in name]
    assert tower and all(torch.equal(found[name], trained.state_dict()[name]) for name in tower)
