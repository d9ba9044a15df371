"""The content key of a training: what is in it, what is not, and which code decides."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import code_deps
import pytest
from synthetic import PARAMS

from c2vl.core.syntax import same_code
from c2vl.models.encoders.registry import ENCODERS as KNOWN_ENCODERS
from c2vl.models.encoders.settings import TWO_CORES
from c2vl.training import deciding
from c2vl.training.checkpoint import EncoderConfig
from c2vl.training.deciding import ENCODERS, EVERY, HARMLESS, OWN, code_hash, files_of
from c2vl.training.finetuning.finetune import settings
from c2vl.training.finetuning.finetune_params import FinetuneParams
from c2vl.training.finetuning.trainings import described_run
from c2vl.training.key import Description, differences
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
    cells: dict[str, Any] = {"benchmarks": ["xsub"], "streams": ["joint"]}
    section = FinetuneParams.model_validate({**cells, **schedule})
    own = settings(params, section, section.seed)
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
    "view.frames": (8, ALL),
    "view.rotation": (0.1, ALL),
    "view.crop": (False, ALL),
    "view.shortest": (8, ALL),
    "prompts": ("random", PRETRAINED),
    "batch": (8, SCHEDULED),
    "epochs": (9, PRETRAINED),
    "warmup_epochs": (3, SCHEDULED),
    "learning_rate": (0.2, PRETRAINED),
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
}


def test_the_table_has_every_parameter() -> None:
    names = {
        f"{name}.{inner}" if isinstance(value, dict) else name
        for name, value in BASE.model_dump().items()
        for inner in (value if isinstance(value, dict) else [""])
    }
    names -= {"encoder.name", "encoder.graph"}  # changed with the encoder itself
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


def test_supervised_training_and_finetuning_have_their_own_schedules() -> None:
    for update in ({"epochs": 3}, {"learning_rate": 0.7}, {"milestones": [1]}):
        baselines = BaselinesParams.model_validate({"supervised": update})
        assert key("supervised", BASE, baselines) != key("supervised", BASE)
        assert key("infonce", BASE, baselines) == key("infonce", BASE)
        assert finetuned_key(BASE, **update) != finetuned_key(BASE)
    assert finetuned_key(BASE, test_every=1) != finetuned_key(BASE)
    assert finetuned_key(BASE, augment=False) != finetuned_key(BASE)
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


# --- code ---

SOURCE = '''"""Docstring."""

from __future__ import annotations

import numpy as np
from c2vl.models.views import draw

RATE = 0.1  # of the paper


class Params(ParamsModel):
    rate: int = 1


def step(x: int) -> int:
    """One step."""
    if x < 0:
        raise ValueError(f"{x} is negative")
    return x + 1
'''
SAME = {
    "a comment": ("# of the paper", "# of somebody"),
    "a docstring": ('"""One step."""', '"""Another text.\n\n    On lines.\n    """'),
    "formatting": ("return x + 1", "return (\n        x\n        + 1\n    )"),
    "the place of a module of ours": ("c2vl.models.views", "c2vl.elsewhere"),
    "the text of an error": ("is negative", "is below zero"),
    "a default of params.yaml": ("rate: int = 1", "rate: int = 2"),
}
OTHER = {
    "a number": ("x + 1", "x + 2"),
    "a constant": ("RATE = 0.1", "RATE = 0.2"),
    "a condition": ("x < 0", "x <= 0"),
    "an import": ("import draw", "import train_view as draw"),
}


@pytest.fixture
def hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    def hash_of(**modules: str) -> str:
        deciding._statements.cache_clear()
        for name, text in modules.items():
            (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.setattr(deciding, "files_of", lambda name: [tmp_path / f"{name}.py"])
        return code_hash(sorted(modules))

    yield hash_of
    deciding._statements.cache_clear()


@pytest.mark.parametrize("what", SAME)
def test_what_is_no_code_leaves_the_key(what: str, hashed: Callable[..., str]) -> None:
    before, after = SAME[what]
    assert before in SOURCE
    assert hashed(a=SOURCE.replace(before, after)) == hashed(a=SOURCE)


@pytest.mark.parametrize("what", OTHER)
def test_code_changes_the_key(what: str, hashed: Callable[..., str]) -> None:
    before, after = OTHER[what]
    assert before in SOURCE
    assert hashed(a=SOURCE.replace(before, after)) != hashed(a=SOURCE)


def test_moving_or_renaming_a_module_leaves_the_key(hashed: Callable[..., str]) -> None:
    head, step = SOURCE.split("def step")
    assert hashed(b=head, c=f"from __future__ import annotations\n\n\ndef step{step}") == hashed(
        a=SOURCE
    )


def test_same_code() -> None:
    for before, after in (SAME["a comment"], SAME["a docstring"], SAME["formatting"]):
        assert same_code(SOURCE, SOURCE.replace(before, after))
    for before, after in (*OTHER.values(), SAME["the text of an error"]):
        assert not same_code(SOURCE, SOURCE.replace(before, after))
    assert not same_code(SOURCE, "def (")


def test_another_encoder_s_code_is_not_in_the_key(monkeypatch) -> None:
    def keys() -> dict[str, str]:
        return {
            name: key("c2vl", BASE.model_copy(update={"encoder": params}))
            for name, params in TWO_CORES.items()
        }

    before, real = keys(), deciding._statements
    gru = "c2vl.models.encoders.gru"
    monkeypatch.setattr(
        deciding, "_statements", lambda entry: {"other"} if entry == gru else real(entry)
    )
    assert {name for name, value in keys().items() if value != before[name]} == {"gru"}


# --- the list is complete ---

ROOTS = {
    "pretraining": ("c2vl/training/pretrain.py", "c2vl/training/probe.py"),
    "supervised": ("c2vl/training/supervised.py",),
    "finetuning": ("c2vl/training/finetuning/finetune.py",),
}


def module_of(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@pytest.mark.parametrize("encoder", KNOWN_ENCODERS)
@pytest.mark.parametrize("kind", ROOTS)
def test_every_module_that_a_training_imports_decides_or_is_declared_harmless(
    kind: deciding.Kind, encoder: str
) -> None:
    used = {
        path
        for root in ROOTS[kind]
        for path in code_deps.used_files(root)
        if path.startswith(("c2vl/models/", "c2vl/training/")) and path.endswith(".py")
        if not path.endswith("__init__.py")
    }
    entries = deciding.deciding(kind, encoder)
    listed = {
        path.relative_to(code_deps.ROOT).as_posix()
        for entry in entries
        for path in files_of(entry.partition(":")[0])
    }
    other = {
        f"{entry.replace('.', '/')}.py"
        for name, own in ENCODERS.items()
        for entry in own
        if name != encoder
    }
    unknown = {path for path in used - listed - other if module_of(path) not in HARMLESS}
    assert not unknown, (
        f"c2vl/training/deciding.py: {sorted(unknown)} neither decide nor are harmless"
    )


@pytest.mark.parametrize("encoder", KNOWN_ENCODERS)
def test_an_encoder_s_modules_are_listed(encoder: str) -> None:
    own = ENCODERS[encoder]
    used = code_deps.used_files(f"c2vl/models/encoders/{encoder}.py")
    needed = {module_of(path) for path in used if path.startswith("c2vl/models/encoders/")}
    assert needed - {"c2vl.models.encoders"} == set(own)


def test_every_entry_exists_and_none_is_both_deciding_and_harmless() -> None:
    entries = {*EVERY, *(e for own in (*OWN.values(), *ENCODERS.values()) for e in own)}
    for entry in entries:
        assert code_hash([entry])
    for module in HARMLESS:
        assert files_of(module) and HARMLESS[module]
    assert not entries & set(HARMLESS)
    with pytest.raises(LookupError):
        code_hash(["c2vl.training.nowhere"])
    with pytest.raises(LookupError):
        code_hash(["c2vl.training.metrics:nothing"])


def test_a_key_needs_no_torch() -> None:
    code = "import sys, c2vl.training.key, c2vl.training.deciding; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
