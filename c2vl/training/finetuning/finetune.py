"""Train an encoder, pretrained or not, with a new linear classifier on labels.

Every weight and every BatchNorm statistic moves.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import nn

from c2vl.models.clips import Clips
from c2vl.models.encode import encode
from c2vl.models.ragged import RaggedSkeletons
from c2vl.models.streams import Stream
from c2vl.training.curves import Epoch
from c2vl.training.devices import Devices
from c2vl.training.finetuning.finetune_params import ScheduleParams
from c2vl.training.keep import Keep
from c2vl.training.loop import fit
from c2vl.training.metrics import top1
from c2vl.training.supervised import ClassifyingEncoder, SupervisedTraining
from c2vl.training.training_params import PretrainParams

CLASSIFIER_DEVIATION = 0.01  # of its first weights, as CMD's: N(0, 0.01), bias 0


class Finetuning(SupervisedTraining):
    """Encoder and classifier on the labels of some of the clips."""

    what = "finetuning"
    advice = "lower the `learning_rate` of its section in params.yaml."


@dataclass(frozen=True)
class Finetuned:
    """A result: the network after the last epoch, softmax scores of the test split, and curves.

    `scores` are (N, classes) float32. `probe` of a curve's row is the accuracy on the test split,
    in the epochs that looked at it. The network is None if nobody needs it.
    """

    network: ClassifyingEncoder | None
    scores: np.ndarray
    curves: list[Epoch]

    def without_network(self) -> Finetuned:
        """The same, with the network's memory freed."""
        return replace(self, network=None)

    @property
    def best_on_test(self) -> float:
        """The highest test accuracy of any look. Test labels choose it, so it is no result."""
        return max(row.probe for row in self.curves if row.probe is not None)


def settings(pretrain: PretrainParams, schedule: ScheduleParams, seed: int) -> PretrainParams:
    """The parameters of pretraining (encoder, view, precision) with the schedule of a protocol."""
    own = (
        "epochs",
        "batch",
        "learning_rate",
        "momentum",
        "nesterov",
        "weight_decay",
        "milestones",
        "warmup_epochs",
    )
    update: dict[str, object] = {name: getattr(schedule, name) for name in own}
    update |= {"seed": seed, "weight_average": None, "micro_batch": None, "tracker": "none"}
    update |= {
        "probe_every": schedule.test_every or schedule.epochs
    }  # the last epoch is always looked at
    if not schedule.augment:
        update["view"] = pretrain.view.model_copy(update={"crop": False, "rotation": 0.0})
    return pretrain.model_copy(update=update)


def finetune(
    encoder: nn.Module,
    train: Clips,
    rows: np.ndarray,
    test: Clips,
    classes: int,
    stream: Stream,
    params: PretrainParams,
    name: str,
    keep: Keep | None = None,
) -> Finetuned:
    """Train a copy of `encoder` on the labelled clips `rows` of the train split.

    Test clips are only looked at: nothing depends on what is seen. The same arguments give the same
    weights on one machine.

    Args:
        encoder: where training starts; left as it is.
        train: clips and labels.
        rows: (n,) int64, which of them are trained on.
        test: clips to look at.
        classes: how many labels there are.
        stream: joint, bone or motion.
        params: of `settings`.
        name: of the progress bar.
        keep: where the state is saved, so that a killed training resumes.

    Raises:
        UserError: the loss is not a number.
    """
    torch.manual_seed(params.seed)
    network = ClassifyingEncoder(copy.deepcopy(encoder), classes).requires_grad_(True)
    nn.init.normal_(network.classifier.weight, std=CLASSIFIER_DEVIATION)
    nn.init.zeros_(network.classifier.bias)
    task = Finetuning(network, train.skeletons, train.labels, stream, params)
    task.rows = torch.from_numpy(rows)

    last: list[np.ndarray] = []  # of the main process, which looks after the last epoch in any case

    def looked_at(_: nn.Module) -> float:
        last[:] = [class_scores(task.network, test.skeletons, stream, params.view.frames)]
        return top1(test.labels, last[0].argmax(1))

    trained, curves = fit(
        task, params, Devices(train.skeletons.device), name, keep, probe=looked_at
    )
    network = cast(ClassifyingEncoder, trained).eval()
    scores = last[0] if last else class_scores(network, test.skeletons, stream, params.view.frames)
    return Finetuned(network, scores, curves)


@torch.no_grad()
def class_scores(
    network: ClassifyingEncoder, clips: RaggedSkeletons, stream: Stream, frames: int
) -> np.ndarray:
    """Softmax scores (N, classes) of the test views, in evaluation mode."""
    features = encode(network.encoder, clips, stream, frames)
    weight, bias = (
        value.detach().float().cpu()
        for value in (network.classifier.weight, network.classifier.bias)
    )
    scores: np.ndarray = (features @ weight.T + bias).softmax(1).numpy()
    return scores
