"""The content key of a training: what is in it, what is not, and which code decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from synthetic import PARAMS

from c2vl.core.params import ParamsModel
from c2vl.models.encoders.settings import TWO_CORES
from c2vl.training.checkpoint import EncoderConfig
from c2vl.training.finetuning.finetune_params import FinetuneParams
from c2vl.training.finetuning.trainings import described_run, params_of_run
from c2vl.training.key import Description, differences, supervised_params
from c2vl.training.methods import described, params_of
from c2vl.training.training_params import BaselinesParams, PretrainParams

BASE = PretrainParams.model_validate(
    {
        **PARAMS.model_dump(),
        "objective": {**PARAMS.objective.model_dump(), "target_temperature": 0.2},
    }
)


def key(method: str, params: PretrainParams, baselines: BaselinesParams | None = None) -> str:
    """Of the joint stream, as `train` and `c2vl why` make it."""
    baselines = baselines or BaselinesParams()
    config = EncoderConfig.model_validate(
        {
            "method": method,
            "benchmark": "xsub",
            "stream": "joint",
            "seed": params.seed,
            "encoder": params.encoder,
            "frames": params.view.frames,
            "classes": 4,
        }
    )
    return described(config, params_of(config.method, params, baselines), "data", "cpu").key


def finetuned_key(params: PretrainParams, **schedule: Any) -> str:
    cells: dict[str, Any] = {"streams": ["joint"]}
    section = FinetuneParams.model_validate({**cells, **schedule})
    own = params_of_run(params, section, section.seed)
    return described_run("name", "joint", own, 4, "data", "cpu").key


def changed(params: PretrainParams, name: str, value: Any) -> PretrainParams:
    """`params` with the parameter of a dotted name changed."""
    section, _, inner = name.rpartition(".")
    if not section:
        return params.model_copy(update={name: value})
    within = getattr(params, section).model_copy(update={inner: value})
    return params.model_copy(update={section: within})


# name: (another value, the trainings whose result it changes)
ALL = {"c2vl", "infonce", "supervised", "finetune"}
PRETRAINED = {"c2vl", "infonce"}
SCHEDULED = {"c2vl", "infonce", "supervised"}
TABLE: dict[str, tuple[Any, set[str]]] = {
    "seed": (1, SCHEDULED),
    "encoder": (TWO_CORES["gru"], ALL),
    "encoder.width": (5, ALL),
    "encoder.blocks": (4, ALL),
    "encoder.dropout": (0.5, ALL),
    "encoder.persons": ("padded", ALL),
    "encoder.partition": ("published", ALL),
    "encoder.init": ("published", ALL),
    "encoder.last_width": (24, ALL),
    "encoder.relative": (True, ALL),
    "view.frames": (8, ALL),
    "view.rotation": (0.1, ALL),
    "view.crop": (False, ALL),
    "view.shortest": (8, ALL),
    "prompts": ("random", PRETRAINED),
    "batch": (8, SCHEDULED),
    "epochs": (9, PRETRAINED),
    "warmup_epochs": (3, SCHEDULED),
    "learning_rate": (0.2, PRETRAINED),
    "optimiser": ("adamw", SCHEDULED),
    "momentum": (0.5, SCHEDULED),
    "nesterov": (False, SCHEDULED),
    "weight_decay": (0.1, SCHEDULED),
    "milestones": ([2], PRETRAINED),
    "weight_average": (0.9, SCHEDULED),
    "precision": ("bf16", ALL),
    "micro_batch": (4, SCHEDULED),
    "tracker": ("none", set()),
    "probe_every": (1, PRETRAINED),
    "objective.knowledge": ("vision", PRETRAINED),
    "objective.intra": (False, {"c2vl"}),
    "objective.inter": (False, {"c2vl"}),
    "objective.partition": (False, {"c2vl"}),
    "objective.progressive": (False, {"c2vl"}),
    "objective.alpha_start": (0.8, {"c2vl"}),
    "objective.alpha_end": (0.3, {"c2vl"}),
    "objective.alpha": (0.4, set()),
    "objective.beta": (0.7, {"c2vl"}),
    "objective.inter_identity": (0.7, {"c2vl"}),
    "objective.teacher": ("ema", {"c2vl"}),
    "objective.ema_decay": (0.5, set()),
    "objective.dimension": (7, PRETRAINED),
    "objective.temperature": (0.9, PRETRAINED),
    "objective.target_temperature": (0.9, PRETRAINED),  # infonce: a column of its curves
    "objective.learnable_temperature": (True, PRETRAINED),
    "objective.temperature_rate": (0.5, set()),
    "objective.temperature_form": ("linear", set()),
    "objective.target_prompts": ("raw", {"c2vl"}),
    "objective.prompt_weight": (0.3, set()),
    "objective.view_temperature": (0.3, set()),
    "objective.prompt_heads": ("none", PRETRAINED),
    "swapped": (0.3, PRETRAINED),
}


def test_the_table_has_every_parameter() -> None:
    names = {
        f"{name}.{inner}" if isinstance(value, ParamsModel) else name
        for name, value in BASE
        for inner in (type(value).model_fields if isinstance(value, ParamsModel) else [""])
    }
    names -= {"encoder.name", "encoder.graph"}  # changed with the encoder itself
    names -= {"objective.name", "objective.arguments"}  # tests/pipeline/test_extend.py
    assert names | {"encoder"} == set(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_a_parameter_changes_the_keys_of_the_trainings_that_use_it(name: str) -> None:
    value, uses = TABLE[name]
    other = changed(BASE, name, value)
    assert other != BASE
    keys: dict[str, Callable[[PretrainParams], str]] = {
        method: lambda params, method=method: key(method, params)  # type: ignore[misc]
        for method in ("c2vl", "infonce", "supervised")
    }
    keys["finetune"] = finetuned_key
    found = {method for method, make in keys.items() if make(other) != make(BASE)}
    assert found == uses


@pytest.mark.parametrize(
    ("name", "value", "where"),
    [
        ("objective.alpha", 0.4, {"objective": {"progressive": False}}),
        ("objective.ema_decay", 0.5, {"objective": {"teacher": "ema"}}),
        ("objective.temperature_rate", 0.5, {"objective": {"learnable_temperature": True}}),
        ("objective.prompt_weight", 0.3, {"objective": {"name": "two_views"}}),
        ("objective.view_temperature", 0.3, {"objective": {"name": "two_views"}}),
        ("objective.temperature_form", "linear", {"objective": {"learnable_temperature": True}}),
    ],
)
def test_a_parameter_that_another_one_switches_on_is_then_in_use(name, value, where) -> None:
    objective = BASE.objective.model_copy(update=where["objective"])
    base = BASE.model_copy(update={"objective": objective})
    assert key("c2vl", changed(base, name, value)) != key("c2vl", base)


@pytest.mark.parametrize(
    ("name", "value", "where"),
    [
        ("view.shortest", 3, {"view.crop": False}),
        ("nesterov", False, {"momentum": 0.0}),
        ("nesterov", False, {"optimiser": "adamw"}),
        ("objective.beta", 0.7, {"objective.intra": False}),
        ("objective.alpha_start", 0.7, {"objective.inter": False}),
        ("objective.partition", False, {"objective.inter": False}),
    ],
)
def test_a_parameter_that_another_one_switches_off_is_not(name, value, where) -> None:
    base = BASE
    for switch, off in where.items():
        base = changed(base, switch, off)
    assert key("c2vl", changed(base, name, value)) == key("c2vl", base)


def test_parameters_that_came_later_leave_the_keys_of_earlier_trainings() -> None:
    names = set(supervised_params(BASE, "joint"))
    assert {name for name in names if name.startswith("encoder.")} == {
        f"encoder.{name}" for name in ("name", "graph", "width", "blocks", "dropout", "persons")
    }
    module = "c2vl.models.encoders.stgcn_published"
    for params, used in ((BASE, False), (changed(BASE, "encoder.init", "published"), True)):
        names = supervised_params(params, "joint")
        assert (module in Description("", "supervised", names, "", {}).entries) == used


def test_supervised_training_and_finetuning_have_their_own_schedules() -> None:
    for update in ({"epochs": 3}, {"learning_rate": 0.7}, {"milestones": [1]}):
        baselines = BaselinesParams.model_validate({"supervised": update})
        assert key("supervised", BASE, baselines) != key("supervised", BASE)
        assert key("infonce", BASE, baselines) == key("infonce", BASE)
        assert finetuned_key(BASE, **update) != finetuned_key(BASE)
    assert finetuned_key(BASE, test_every=1) != finetuned_key(BASE)
    assert finetuned_key(BASE, augment=False) != finetuned_key(BASE)
    assert finetuned_key(BASE, optimiser="adamw") != finetuned_key(BASE)
    assert finetuned_key(BASE, starts=["c2vl"]) == finetuned_key(BASE)


def test_machine_and_data_are_in_the_key_and_the_name_is_not(monkeypatch) -> None:
    now = key("c2vl", BASE)
    for variable, value in (("C2VL_THREADS", "2"), ("C2VL_COMPILE", "1")):
        with monkeypatch.context() as patch:
            patch.setenv(variable, value)
            assert key("c2vl", BASE) != now
    params = {"encoder.name": "stgcn"}
    one = Description("one", "supervised", params, "data", {"torch": "2"})
    assert Description("two", "supervised", params, "data", {"torch": "2"}).key == one.key
    assert Description("one", "supervised", params, "else", {"torch": "2"}).key != one.key
    assert Description("one", "supervised", params, "data", {"torch": "3"}).key != one.key


def test_a_difference_is_named() -> None:
    def about(params: PretrainParams) -> dict[str, Any]:
        config = EncoderConfig.model_validate(
            {
                "method": "c2vl",
                "benchmark": "xsub",
                "stream": "joint",
                "seed": 0,
                "encoder": params.encoder,
                "frames": 16,
            }
        )
        return described(config, params, "data", "cpu").about()

    then = about(BASE)
    assert differences(then, about(BASE)) == []
    assert differences(then, about(changed(BASE, "objective.beta", 0.3))) == [
        "`objective.beta` was 0.2, now 0.3"
    ]
    code = {**then["code"], "c2vl.training.loop": "another"}
    assert differences({**then, "code": code, "data": "else"}, then) == [
        "the data changed",
        "the code of c2vl.training.loop changed",
    ]
