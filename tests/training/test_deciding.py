"""Which code is in the key of a training, which is not, and that the list is complete."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import code_deps
import pytest
from synthetic import PARAMS

from c2vl.core.syntax import same_code
from c2vl.models.encoders.registry import ENCODERS as KNOWN_ENCODERS
from c2vl.models.encoders.settings import TWO_CORES
from c2vl.training import deciding
from c2vl.training.deciding import ENCODERS, EVERY, HARMLESS, OWN, code_hash, files_of
from c2vl.training.key import Description, supervised_params

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


def test_a_new_name_of_a_function_of_ours_leaves_the_key(
    hashed: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deciding, "RENAMED", {"draw_views": "draw"})
    text = f"{SOURCE}\n\ndef view(x):\n    return draw(x)\n"
    renamed = text.replace("import draw", "import draw_views").replace("draw(x)", "draw_views(x)")
    assert hashed(a=renamed) == hashed(a=text)
    assert hashed(a=renamed.replace("draw_views(x)", "other(x)")) != hashed(a=text)


def test_the_choice_of_an_optimiser_left_the_key_of_the_loop(hashed: Callable[..., str]) -> None:
    """`fit` called `sgd` itself before there was a choice."""
    loop = (code_deps.ROOT / "c2vl/training/loop.py").read_text()
    before = loop.replace("c2vl.training.optimisers", "c2vl.training.schedule")
    assert "make_optimiser" in loop
    assert hashed(a=before.replace("make_optimiser", "sgd")) == hashed(a=loop)


def test_adamw_s_code_is_in_the_key_of_trainings_that_use_it_alone() -> None:
    sgd, adamw = (
        deciding.deciding("pretraining", "gru", optimiser=name) for name in ("sgd", "adamw")
    )
    assert set(adamw) - set(sgd) == {"c2vl.training.optimisers:adamw"}
    assert sgd == deciding.deciding("pretraining", "gru")


def test_same_code() -> None:
    for before, after in (SAME["a comment"], SAME["a docstring"], SAME["formatting"]):
        assert same_code(SOURCE, SOURCE.replace(before, after))
    for before, after in (*OTHER.values(), SAME["the text of an error"]):
        assert not same_code(SOURCE, SOURCE.replace(before, after))
    assert not same_code(SOURCE, "def (")


def test_another_encoder_s_code_is_not_in_the_key(monkeypatch) -> None:
    def keys() -> dict[str, str]:
        found = {}
        for name, params in TWO_CORES.items():
            used = supervised_params(PARAMS.model_copy(update={"encoder": params}), "joint")
            found[name] = Description("name", "pretraining", used, "data", {}).key
        return found

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
