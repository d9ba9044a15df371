"""Trains the vision tower, and with it the captioner and the encoder.

One tower learns from three losses at once: the auxiliary heads, the contrastive loss of the encoder
and the language-model loss of the captioner. Then each engine continues with a copy and its own
loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from c2vl.studio.engines.augment import mirrored_joints, relit
from c2vl.studio.engines.checkpoints import build, save
from c2vl.studio.engines.tokenizers import captioner_tokenizer, encoder_tokenizer
from c2vl.studio.engines.train_loop import Budget, Losses, train
from c2vl.studio.engines.training_crops import Crops

if TYPE_CHECKING:
    import torch

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # CLIP's
TOKENIZERS = {"captioner": captioner_tokenizer, "encoder": encoder_tokenizer}
SHIFT = 3  # largest random shift of a crop in pixels, besides the jitter of its box


@dataclass(frozen=True)
class Recipe:
    """Weights of the losses and the size of a step.

    Attributes:
        auxiliary, contrast, language: weights; 0 leaves a loss out.
        batch: crops in a step; `answered` of them go through the costly language model too.
    """

    auxiliary: float
    contrast: float
    language: float
    batch: int
    answered: int
    rate: float
    weight_decay: float = 0.02


RECIPES = {
    "tower": Recipe(auxiliary=1.0, contrast=0.5, language=1.0, batch=64, answered=8, rate=1e-3),
    "captioner": Recipe(
        auxiliary=0.5, contrast=0.0, language=1.0, batch=48, answered=24, rate=6e-4
    ),
    "encoder": Recipe(auxiliary=0.5, contrast=1.0, language=0.0, batch=64, answered=0, rate=6e-4),
}


def normalised(images: np.ndarray) -> torch.Tensor:
    """Images (N, H, W, 3) in 0…1 normalised like CLIP's processor does: (N, 3, H, W)."""
    import torch

    scaled = (images - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(0, 3, 1, 2)))


def shifted(
    images: np.ndarray, joints: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Move each picture (N, S, S, 3) and its joints (N, 25, 2) by a few pixels; edges repeat."""
    size = images.shape[1]
    padded = np.pad(images, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), mode="edge")
    moves = rng.integers(0, 2 * SHIFT + 1, (len(images), 2))
    moved = np.stack(
        [p[y : y + size, x : x + size] for p, (x, y) in zip(padded, moves, strict=True)]
    )
    return moved, joints + ((SHIFT - moves) / size)[:, None].astype(np.float32)


def carried(model: Any, trained: Any, engine: str, folder: Path) -> dict[str, torch.Tensor]:
    """The weights of `trained` for `model`; vectors of tokens follow them to another vocabulary.

    Tokens that the trained model does not have keep the vectors of `model`.

    Args:
        model: with the vocabulary of today's tokenizer.
        trained: with that of the tokenizer in `folder`.
        engine: captioner or encoder.
        folder: of the trained checkpoint.
    """
    from transformers import AutoTokenizer

    old = AutoTokenizer.from_pretrained(folder, local_files_only=True).get_vocab()
    new = TOKENIZERS[engine]().get_vocab()
    both = [(new[token], old[token]) for token in new.keys() & old.keys()]
    here, there = (list(side) for side in zip(*both, strict=True))
    weights, before = model.state_dict(), trained.state_dict()
    for name, weight in weights.items():
        if weight.shape[:1] != (len(new),):
            weights[name] = before[name]
        else:
            weights[name] = weight.clone()
            weights[name][here] = before[name][there]
    return weights


class TowerTask:
    """Draws batches of crops and computes the weighted losses of a recipe."""

    def __init__(
        self, crops: Crops, recipe: Recipe, seed: int, start: dict[str, Path] | None = None
    ) -> None:
        import torch

        from c2vl.studio.engines.contrast import Texts
        from c2vl.studio.engines.heads import Heads
        from c2vl.studio.engines.language import Answers

        self._crops, self._recipe, self._rng = crops, recipe, np.random.default_rng(seed)
        torch.manual_seed(seed)
        self.encoder: Any = build("encoder")
        self.captioner: Any = build("captioner")
        self.heads = Heads()
        if start:
            self._continue(start)
        # One tower: the captioner uses the encoder's; if it trains alone, the other way round.
        if recipe.contrast:
            self.captioner.model.vision_tower = self.encoder.vision_model
        else:
            self.encoder.vision_model = self.captioner.model.vision_tower
        self._texts = Texts(crops) if recipe.contrast else None
        self._answers = Answers(crops.answers) if recipe.language else None

    def _continue(self, start: dict[str, Path]) -> None:
        import torch

        for name, model in (("encoder", self.encoder), ("captioner", self.captioner)):
            if name in start:
                trained = type(model).from_pretrained(
                    start[name], dtype=torch.float32, local_files_only=True
                )
                model.load_state_dict(carried(model, trained, name, start[name]))

    def parameters(self) -> list[torch.nn.Parameter]:
        """The parameters that the recipe's losses train, those of the heads included."""
        models = [self.encoder] * bool(self._recipe.contrast) + [self.captioner] * bool(
            self._recipe.language
        )
        every = [weight for module in (*models, self.heads) for weight in module.parameters()]
        return list({id(weight): weight for weight in every}.values())

    def losses(self) -> Losses:
        """The weighted losses of a new batch."""
        import torch
        from torch.nn import functional as F

        from c2vl.studio.engines.contrast import contrastive_loss
        from c2vl.studio.engines.heads import joint_cells

        recipe, crops, rng = self._recipe, self._crops, self._rng
        rows = np.sort(rng.integers(len(crops), size=recipe.batch))
        images, joints = shifted(crops.images[rows], crops.joints[rows], rng)
        flip = rng.random(len(rows)) < 0.5
        images[flip], joints[flip] = images[flip][:, :, ::-1], mirrored_joints(joints[flip])
        pixels = normalised(relit(images.astype(np.float32) / 255, rng))
        parts = torch.from_numpy(crops.parts[rows])
        seen = self.encoder.vision_model(pixel_values=pixels, output_hidden_states=True)
        patches, pooled = seen.hidden_states[-2][:, 1:], seen.pooler_output
        cells = joint_cells(joints)
        terms: Losses = {
            "joints": recipe.auxiliary * self.heads.joint_loss(patches, cells),
            "held": recipe.auxiliary * self.heads.held_loss(patches, cells, parts[:, 1]),
            "worn": recipe.auxiliary * self.heads.worn_loss(patches, cells, parts),
            "parts": recipe.auxiliary * torch.stack(self.heads.part_losses(pooled, parts)).sum(),
            "look": recipe.auxiliary
            * self.heads.look_loss(pooled, torch.from_numpy(crops.looks[rows])),
        }
        chosen = torch.from_numpy(rows)
        if self._texts is not None:
            features = F.normalize(self.encoder.visual_projection(pooled), dim=-1)
            scale = self.encoder.logit_scale.exp().clamp(max=100)
            sentences, text_of = self._texts.sentences(self.encoder, chosen, rng)
            names = self._texts.names(self.encoder, rng)
            terms["sentences"] = recipe.contrast * contrastive_loss(
                features, sentences, text_of, scale
            )
            terms["names"] = (
                0.5 * recipe.contrast * contrastive_loss(features, names, parts[:, 3], scale)
            )
        if self._answers is not None:
            some = torch.from_numpy(rng.permutation(len(rows))[: recipe.answered])
            terms["answers"] = recipe.language * self._answers.loss(
                self.captioner, patches[some], chosen[some], rng
            )
        return terms


def run(
    phase: str,
    crops: Crops,
    budget: Budget,
    seed: int,
    out: Path,
    start: dict[str, Path] | None = None,
) -> dict[str, float]:
    """Train with `RECIPES[phase]` and write the trained engines to `out`.

    Args:
        phase: `tower` (both engines at once), `captioner` or `encoder`.
        crops: the training crops.
        budget: how long to train.
        seed: of weights and batches.
        out: folder of the engines.
        start: folders of a trained captioner and encoder to continue from.

    Returns:
        The record of `train`.
    """
    recipe = RECIPES[phase]
    task = TowerTask(crops, recipe, seed, start)

    def checkpoint() -> None:
        if recipe.contrast:
            save("encoder", task.encoder, out / "encoder")
        if recipe.language:
            save("captioner", task.captioner, out / "captioner")

    record = train(
        phase, task.parameters(), task.losses, budget, recipe.rate, recipe.weight_decay, checkpoint
    )
    checkpoint()
    return record
