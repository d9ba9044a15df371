"""The content key of a training: a hash of everything that its result depends on.

The number of processes is not in the key. The loss is that of the global batch with any number, and
`dvc repro` starts one process where `accelerate launch` started eight.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from c2vl.core.extensions import is_import_path
from c2vl.training.deciding import Kind, code_by_entry, code_hash, deciding
from c2vl.training.environment import compiled, threads
from c2vl.training.objective.objective_params import OF_TWO_VIEWS, TWO_VIEWS, ObjectiveParams

if TYPE_CHECKING:
    from torch import Tensor

    from c2vl.training.training_params import PretrainParams

# Not in the key at the value that changes nothing: keys from before these parameters stay valid.
NEUTRAL = {
    "encoder.partition": "paper",
    "encoder.init": "torch",
    "encoder.last_width": None,
    "encoder.relative": False,
}
OPTIMISER = ("batch", "epochs", "warmup_epochs", "learning_rate", "momentum", "weight_decay")


@dataclass(frozen=True)
class Description:
    """Everything that a training's result depends on.

    Attributes:
        name: name for people, for example `pretrain xsub-joint`; not in the key.
        kind: says which modules decide the result.
        params: the parameters in use, by their dotted names.
        data: `data_hash` of the training data.
        machine: torch's version, and other facts of the machine that change the bits.
    """

    name: str
    kind: Kind
    params: Mapping[str, Any]
    data: str
    machine: Mapping[str, Any]

    @property
    def entries(self) -> tuple[str, ...]:
        """The modules that decide the result."""
        variant = "stgcn_published" if NEUTRAL.keys() & self.params.keys() else None
        encoder, objective = (
            variant or self.params["encoder.name"],
            self.params.get("objective.name"),
        )
        objective = objective if objective and is_import_path(objective) else None
        return deciding(self.kind, encoder, objective, self.params.get("optimiser", "sgd"))

    @cached_property
    def key(self) -> str:
        """The content key: hex, 128 bits."""
        parts = [self.params, self.data, self.machine, code_hash(self.entries)]
        text = json.dumps(parts, sort_keys=True, ensure_ascii=False, allow_nan=False)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def about(self) -> dict[str, Any]:
        """Return what is stored beside the key, so that `c2vl why` can name a difference."""
        return {
            "name": self.name,
            "params": dict(self.params),
            "data": self.data,
            "machine": dict(self.machine),
            "code": code_by_entry(self.entries),
        }


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return how two `about` differ, one phrase each: parameters, machine, data, code."""
    found = []
    for part in ("params", "machine"):
        names = sorted({*then[part], *now[part]})
        for name in names:
            before, after = (each[part].get(name, "not in use") for each in (then, now))
            if before != after:
                found.append(f"`{name}` was {before}, now {after}")
    if then["data"] != now["data"]:
        found.append("the data changed")
    for entry in sorted({*then["code"], *now["code"]}):
        if then["code"].get(entry) != now["code"].get(entry):
            found.append(f"the code of {entry} changed")
    return found


def pretraining_params(params: PretrainParams, stream: str) -> dict[str, Any]:
    """The parameters that pretraining by the C²VL objective or InfoNCE uses, by dotted name."""
    every, objective = supervised_params(params, stream), params.objective
    own = ["knowledge", "dimension", "temperature", "learnable_temperature"]
    own += ["temperature_rate"] if objective.learnable_temperature else []
    own += ["temperature_form"] if objective.learns_linearly else []
    own += ["prompt_heads"] if objective.prompt_heads != "trained" else []
    own += ["target_temperature"]  # of InfoNCE too: the curves have a column of it
    own += _of_the_loss(objective)
    if objective.soft:
        own += ["teacher"] + (["ema_decay"] if objective.teacher == "ema" else [])
    every |= {f"objective.{name}": getattr(objective, name) for name in own}
    every |= {"swapped": params.swapped} if params.swapped else {}
    return {**every, "prompts": params.prompts, "probe_every": params.probe_every}


def _of_the_loss(objective: ObjectiveParams) -> list[str]:
    """Names of the parameters that only one of the losses reads."""
    if objective.name == TWO_VIEWS:
        return ["name", *OF_TWO_VIEWS]
    course = [
        "progressive",
        *(["alpha_start", "alpha_end"] if objective.progressive else ["alpha"]),
    ]
    if objective.users:
        return ["name", "arguments", *course]
    own = ["intra", "inter"]
    own += ["beta"] if objective.intra else []
    own += ["inter_identity"] if objective.inter else []
    own += ["target_prompts"] if objective.needs_raw else []
    return own + (["partition", *course] if objective.intra and objective.inter else [])


def supervised_params(params: PretrainParams, stream: str) -> dict[str, Any]:
    """The parameters that training on labels uses (all trainings use these), by dotted name."""
    found: dict[str, Any] = {"stream": stream, "seed": params.seed}
    encoder = {f"encoder.{name}": value for name, value in params.encoder.model_dump().items()}
    found |= {
        name: value
        for name, value in encoder.items()
        if name not in NEUTRAL or value != NEUTRAL[name]
    }
    view = params.view.model_dump(exclude=set() if params.view.crop else {"shortest"})
    found |= {f"view.{name}": value for name, value in view.items()}
    found |= {name: getattr(params, name) for name in OPTIMISER}
    if params.optimiser != "sgd":  # so that keys from before there was a choice stay
        found |= {"optimiser": params.optimiser}
    elif params.momentum:
        found |= {"nesterov": params.nesterov}
    others = ("milestones", "weight_average", "precision", "micro_batch")
    return found | {name: getattr(params, name) for name in others}


def machine_of(device: str) -> dict[str, Any]:
    """Return the facts of this machine that change a result's bits, for a device type.

    A CPU and a GPU (`cpu`, `cuda`) add in different orders, and training amplifies the difference.
    The same holds for threads on a CPU and for `torch.compile`. The suffix of torch's version
    (`+cpu`, `+cu126`) follows from the device, so it is left out.
    """
    from importlib.metadata import version

    found = {"torch": version("torch").split("+")[0], "device": device, "compile": compiled()}
    return found | ({"threads": threads()} if device == "cpu" else {})


def data_hash(tensors: Iterable[Tensor]) -> str:
    """Hash of the types, shapes and bytes of tensors."""
    digest = hashlib.blake2b(digest_size=16)
    for tensor in tensors:
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()
