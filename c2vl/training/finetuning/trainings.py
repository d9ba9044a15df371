"""The trainings of one protocol: each is taken from the store, or run and kept there."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow.compute as pc
import torch
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays
from torch import Tensor, nn

from c2vl.core import tables
from c2vl.core.errors import UserError
from c2vl.core.files import read_json, write_json
from c2vl.models.clips import Clips
from c2vl.models.streams import Stream
from c2vl.store.trained import checksum, previous_files
from c2vl.training.advice import warn_of_collapse, warn_of_large_batch
from c2vl.training.checkpoint import WEIGHTS
from c2vl.training.curves import Epoch
from c2vl.training.finetuning.finetune import Finetuned, finetune, settings
from c2vl.training.finetuning.finetune_files import SCORES, read_scores
from c2vl.training.finetuning.finetune_params import ScheduleParams
from c2vl.training.keep import Keep, forget
from c2vl.training.key import Description, data_hash, machine_of, supervised_params
from c2vl.training.reuse import RECORD, TAKEN, Files, Reuse
from c2vl.training.supervised import ClassifyingEncoder
from c2vl.training.training_params import PretrainParams
from c2vl.training.weights import weights_of, with_weights

STORED_SCORES, STORED_CURVES = "scores.safetensors", "curves.json"
Where = Mapping[str, str | float | int]
"""Which training of the protocol: its columns in the output's tables, such as start and draw."""


class Trainings:
    """Runs the trainings of one stage, and knows which of them were taken from the store.

    Args:
        train: clips to train on.
        test: clips whose scores are the result.
        classes: how many labels there are.
        states: folder of the unfinished states.
        reuse: the store, and the stage's output.
    """

    def __init__(self, train: Clips, test: Clips, classes: int, states: Path, reuse: Reuse) -> None:
        self.train, self.test, self.classes = train, test, classes
        self.states, self.reuse = states, reuse
        self.taken = 0
        self._records: list[dict[str, Any]] = []
        self._folders: list[Path] = []
        self._sizes: set[tuple[int, int]] = set()

    def run(
        self,
        name: str,
        where: Where,
        stream: Stream,
        encoder: nn.Module,
        rows: np.ndarray,
        params: PretrainParams,
        with_network: bool = False,
        weights: str = WEIGHTS,
    ) -> Finetuned:
        """The result of finetuning `encoder` on the clips `rows` of the train split.

        Args:
            name: of the training, for people.
            where: which training this is.
            stream: joint, bone or motion.
            encoder: where it starts; left as it is.
            rows: (n,) int64.
            params: of `params_of_run`.
            with_network: whether the caller needs the network too.
            weights: where the caller writes its weights, below the output's folder.
        """
        device = self.train.skeletons.device
        start = [value for value in encoder.state_dict().values() if isinstance(value, Tensor)]
        read = [*start, torch.from_numpy(rows), *self._content]
        known = described_run(name, stream, params, self.classes, data_hash(read), device.type)
        needed = [STORED_SCORES, STORED_CURVES, *([WEIGHTS] if with_network else [])]
        files = self.reuse.take(known, needed, partial(self._previous, weights))
        folder = self.states.joinpath(*map(str, where.values()))
        self._folders.append(folder)
        if files is not None:
            self.taken += 1
            done = self._unpacked(files, encoder, with_network)
        else:
            keep = Keep(folder, known.key)
            done = finetune(
                encoder, self.train, rows, self.test, self.classes, stream, params, name, keep
            )
            files = _packed(done)
            self.reuse.keep(known, files)
        if self.reuse.devices.main:
            if (len(rows), params.batch) not in self._sizes:  # once, not for every draw
                self._sizes.add((len(rows), params.batch))
                warn_of_large_batch(name, params.batch, len(rows))
            warn_of_collapse(name, "finetuning", done.curves, self.train.labels[rows])
        sums = {name: checksum(files[name]) for name in needed if name != STORED_CURVES}
        curves = [asdict(row) for row in done.curves]
        record = {"key": known.key, "data": known.data, "files": sums, "curves": curves}
        self._records.append({**record, "where": dict(where)})
        return done

    def publish(self, title: str) -> None:
        """Write `trained.json`, forget the unfinished states, say how many were taken."""
        text = json.dumps(self._records, sort_keys=True)
        record = {"runs": self._records, "checksum": checksum(text.encode())}
        write_json(self.reuse.out / RECORD, record)
        for folder in self._folders:
            forget(folder)
        if self.taken:
            count = f"{self.taken} of {len(self._records)} trainings"
            self.reuse.say(f"{title}: {count} {TAKEN}.")

    @cached_property
    def _content(self) -> list[Tensor]:
        """A hash of clips and labels of both splits, made once for all trainings."""
        tensors = [
            tensor
            for clips in (self.train, self.test)
            for tensor in (*clips.skeletons.content(), torch.from_numpy(clips.labels))
        ]
        return [torch.tensor(list(bytes.fromhex(data_hash(tensors))), dtype=torch.uint8)]

    def _unpacked(self, files: Files, encoder: nn.Module, with_network: bool) -> Finetuned:
        network = None
        if with_network:
            empty = ClassifyingEncoder(copy.deepcopy(encoder), self.classes)
            loaded = with_weights(empty, files[WEIGHTS], self.train.skeletons.device)
            network = cast(ClassifyingEncoder, loaded).eval()
        curves = [Epoch(**row) for row in json.loads(files[STORED_CURVES])]
        return Finetuned(network, load_arrays(files[STORED_SCORES])["scores"], curves)

    @cached_property
    def _last(self) -> tuple[dict[str, Path], dict[str, dict[str, Any]]]:
        """Files of the output's last version, and what it says of each training, by key."""
        files = previous_files(self.reuse.out)
        try:
            record = read_json(files[RECORD])
            if checksum(json.dumps(record["runs"], sort_keys=True).encode()) != record["checksum"]:
                return {}, {}
            return files, {run["key"]: run for run in record["runs"]}
        except (OSError, ValueError, KeyError, TypeError):  # none, or of another version of c2vl
            return {}, {}

    def _previous(self, weights: str, key: str) -> Files | None:
        """A result as the output's last version has it; its network only where that has it."""
        files, runs = self._last
        if key not in runs:
            return None
        run = runs[key]
        try:
            table = tables.read(files[SCORES])
            for name, value in run["where"].items():
                table = table.filter(pc.equal(table[name], value))
            samples, _, scores = read_scores(table)
        except (UserError, OSError, ValueError, KeyError, TypeError):
            return None
        if samples != sorted(self.test.samples):
            return None
        place = {sample: row for row, sample in enumerate(samples)}
        scores = scores[[place[sample] for sample in self.test.samples]]
        found = {STORED_SCORES: save_arrays({"scores": scores})}
        found[STORED_CURVES] = json.dumps(run["curves"]).encode()
        if WEIGHTS in run["files"] and weights in files:
            found[WEIGHTS] = files[weights].read_bytes()
        sums = {name: value for name, value in run["files"].items() if name in found}
        sound = all(checksum(found[name]) == value for name, value in sums.items())
        return found if sound else None


def params_of_run(pretrain: PretrainParams, schedule: ScheduleParams, seed: int) -> PretrainParams:
    """The parameters of one training of a protocol: `finetune.settings`, and its own optimiser.

    The optimiser is set here, because the code of `settings` is in the keys of all trainings.
    """
    own = settings(pretrain, schedule, seed)
    return own.model_copy(update={"optimiser": schedule.optimiser})


def described_run(
    name: str, stream: Stream, params: PretrainParams, classes: int, data: str, device: str
) -> Description:
    """What one training of a protocol depends on; `params` of `params_of_run`."""
    used = {**supervised_params(params, stream), "test_every": params.probe_every}
    used |= {"classes": classes}
    return Description(name, "finetuning", used, data, machine_of(device))


def _packed(done: Finetuned) -> Files:
    assert done.network is not None
    scores = np.ascontiguousarray(done.scores, dtype=np.float32)
    return {
        WEIGHTS: weights_of(done.network),
        STORED_SCORES: save_arrays({"scores": scores}),
        STORED_CURVES: json.dumps([asdict(row) for row in done.curves]).encode(),
    }
