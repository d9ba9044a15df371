"""Check all of params.yaml: each section by its own model, and what has to fit across sections.

Stage `check` runs this before any other stage; `c2vl doctor` and `c2vl profile` run it too. Only
params.yaml is read; the folders of transfer targets have to exist.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from c2vl.core.errors import UserError
from c2vl.core.layout_file import VIDEO, shipped_layout
from c2vl.core.params import PARAMS_FILE, ParamsModel, faults_of, read_params
from c2vl.datasets import pku
from c2vl.datasets.data_params import DataParams
from c2vl.datasets.skeleton_params import SkeletonParams
from c2vl.datasets.transfer_targets import TransferTargets
from c2vl.evaluation.evaluate_params import EvaluateParams
from c2vl.evaluation.scores.score_params import ScoreParams
from c2vl.prompts.caption import CaptionParams
from c2vl.prompts.class_names import ClassNamesParams
from c2vl.prompts.crop_params import CropParams
from c2vl.prompts.embed_params import EmbedParams
from c2vl.prompts.pose.pose_params import PoseParams
from c2vl.report.report_params import ReportParams
from c2vl.studio.other import OtherWorldParams
from c2vl.studio.studio_params import StudioParams
from c2vl.training.finetuning.finetune_params import FinetuneParams, SemiParams, TransferParams
from c2vl.training.objective.chosen import make_objective
from c2vl.training.training_params import BaselinesParams, PretrainParams
from c2vl.training.zero_shot.protocols import is_split
from c2vl.training.zero_shot.zero_shot_params import ZeroShotParams

SECTIONS: dict[str, tuple[type[ParamsModel], ...]] = {
    "data": (DataParams,),
    "studio": (StudioParams,),
    "target_world": (OtherWorldParams,),
    "skeleton": (SkeletonParams,),
    "pose": (PoseParams,),
    "crop": (CropParams,),
    "caption": (CaptionParams,),
    "embed": (EmbedParams,),
    "class_names": (ClassNamesParams,),
    "pretrain": (PretrainParams,),
    "evaluate": (EvaluateParams,),
    "baselines": (BaselinesParams,),
    "finetune": (FinetuneParams,),
    "semi": (SemiParams,),
    "zero_shot": (ZeroShotParams,),
    "transfer": (TransferParams, TransferTargets),
    "score": (ScoreParams,),
    "report": (ReportParams,),
}
FOR_DVC = ("profile", "worlds", "target_worlds")  # read by dvc.yaml and `c2vl profile`
WORLDS = {"worlds": ("studio", "studio"), "target_worlds": ("studio-b", "target_world")}
SCHEDULES = (
    "pretrain",
    "baselines.supervised",
    "evaluate.linear",
    "finetune",
    "semi",
    "transfer",
)
Params = Mapping[str, Any]


def check_settings(path: Path = PARAMS_FILE) -> None:
    """Raise if anything in the file would stop a run.

    Raises:
        UserError: names every fault.
    """
    if found := faults(read_params(path), path.parent):
        first, *others = found
        rest = [f"{fault[0].upper()}{fault[1:]}" for fault in others]
        raise UserError(f"{path}: {' '.join([first, *rest])}")


def faults(params: Params, root: Path = Path(".")) -> list[str]:
    """Check the content of a params.yaml that lies in `root`.

    Returns:
        A sentence for each fault. Sections are compared once each is valid by itself.
    """
    try:
        return _faults(params, root)
    except UserError as error:  # a module or a skeleton of the user's own that cannot be used
        return [str(error).removeprefix(f"{PARAMS_FILE}: ")]


def _faults(params: Params, root: Path) -> list[str]:
    found = [*_unknown(params), *_of_sections(params)]
    return found or [
        *_worlds(params),
        *_colour_joints(params),
        *_schedules(params),
        *_lists(params),
        *_transfer(params, root),
        *_zero_shot(params),
        *_encoder(params),
    ]


def _unknown(params: Params) -> Iterator[str]:
    for name in params:
        if name not in SECTIONS and name not in FOR_DVC:
            yield f"there is no section `{name}`; correct its name or remove it."
    for name in FOR_DVC:
        if name not in params:
            yield f"`{name}` is missing; compare with profiles/demo.yaml."


def _of_sections(params: Params) -> Iterator[str]:
    optional = {section for world, (_, section) in WORLDS.items() if not params.get(world)}
    for name, models in SECTIONS.items():
        if name in params:
            yield from dict.fromkeys(
                fault for model in models for fault in faults_of(name, params[name], model)
            )
        elif name not in optional:
            yield f"there is no section `{name}`; compare with profiles/demo.yaml."


def _worlds(params: Params) -> Iterator[str]:
    for name, (world, _) in WORLDS.items():
        given = params[name]
        if not isinstance(given, list) or not set(map(str, given)) <= {world}:
            yield f"`{name}` is [{world}] or [], not {given}."
    dataset = params["data"]["dataset"]
    if params["worlds"] and dataset != "studio":
        yield f"`worlds` makes the demo's data, but `data.dataset` is {dataset}; set `worlds: []`."


def _colour_joints(params: Params) -> Iterator[str]:
    dataset = params["data"]["dataset"]
    backend = CropParams.model_validate(params["crop"]).detector.backend
    if backend == "skeleton" and dataset in pku.DATASETS:
        yield (
            f"`crop.detector.backend` is skeleton, but the skeletons of {dataset} have no colour "
            "joints to crop by; use transformers."
        )


def _schedules(params: Params) -> Iterator[str]:
    for name in SCHEDULES:
        section = _filled(params, name)
        epochs, milestones = section["epochs"], section["milestones"]
        for milestone in milestones:
            if not 1 <= milestone <= epochs:
                yield f"`{name}.milestones`: {milestone} is not within its {epochs} epochs."
        if section.get("warmup_epochs", 0) > epochs:
            yield f"`{name}.warmup_epochs` is more than its {epochs} epochs."


def _lists(params: Params) -> Iterator[str]:
    """Lists that dvc.yaml makes stages of."""
    names = "data.benchmarks finetune.streams semi.streams transfer.streams zero_shot.splits"
    for name in names.split():
        section, key = name.split(".")
        values = params[section][key]
        if len(set(values)) < len(values):
            yield f"`{name}` names something twice."


def _transfer(params: Params, root: Path) -> Iterator[str]:
    transfer = TransferTargets.model_validate(params["transfer"])
    source, benchmarks = _filled(params, "transfer")["source"], params["data"]["benchmarks"]
    if transfer.targets and source not in benchmarks:
        names = ", ".join(benchmarks)
        yield f"`transfer.source` is {source}, but `data.benchmarks` has {names}: no encoder."
    for name, target in transfer.targets.items():
        made = [root / "data" / world for world in params["target_worlds"]]
        raw, indexed = root / target.raw, root / "data/targets" / name / "index"
        if raw not in made and not raw.exists() and not indexed.exists():
            yield (
                f"`transfer.targets.{name}.raw`: {target.raw} is not there; "
                "put its skeletons there or take the target out."
            )


def _zero_shot(params: Params) -> Iterator[str]:
    section = ZeroShotParams.model_validate(params["zero_shot"])
    for split in section.splits:
        if not is_split(split):
            yield f"`zero_shot.splits`: there is no split {split}; docs/zero-shot.md lists them."
    if section.schedule is not None:
        for milestone in section.schedule.milestones:
            if not 1 <= milestone <= section.schedule.epochs:
                epochs = section.schedule.epochs
                yield f"`zero_shot.schedule.milestones`: {milestone} is not within {epochs} epochs."


def _encoder(params: Params) -> Iterator[str]:
    pretrain = PretrainParams.model_validate(params["pretrain"])
    make_objective(pretrain.objective)  # raises if a user's own cannot be used
    pretrain.on(DataParams.model_validate(params["data"]).layout())  # raises if it does not fit
    if PoseParams.model_validate(params["pose"]).compare:
        pretrain.on(shipped_layout(VIDEO))
    if pretrain.micro_batch is not None and pretrain.micro_batch > pretrain.batch:
        yield f"`pretrain.micro_batch` is more than `pretrain.batch`, {pretrain.batch}."


def _filled(params: Params, name: str) -> dict[str, Any]:
    """A section, or a part of one, with its defaults."""
    section, *path = name.split(".")
    values = SECTIONS[section][0].model_validate(params[section] or {}).model_dump()
    for key in path:
        values = values[key]
    return values
