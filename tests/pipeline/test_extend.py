"""docs/extend.md: its examples are run as they stand; what is wrong is one sentence."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from synthetic import BENCHMARK, PARAMS, write_data

from c2vl.core.errors import UserError
from c2vl.core.extensions import code_files
from c2vl.models.clips import load_clips
from c2vl.models.prompt_features import load_prompts
from c2vl.prompts.engines.captioner import CaptionerParams
from c2vl.settings import faults
from c2vl.training import deciding
from c2vl.training.checkpoint import EncoderConfig, load_checkpoint, save_checkpoint
from c2vl.training.methods import described, train
from c2vl.training.objective.chosen import make_objective
from c2vl.training.objective.imported import ImportedObjective
from c2vl.training.training_params import BaselinesParams, PretrainParams

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/extend.md").read_text(encoding="utf-8")
MODULES = {
    re.search(r"# extensions/(\w+)\.py", block)[1]: block  # type: ignore[index]
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.S)
}
SECTIONS: dict[str, Any] = {}
for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.S):
    for name, section in yaml.safe_load(block).items():
        SECTIONS[name] = {**SECTIONS.get(name, {}), **section}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project whose `extensions/` holds the page's modules."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "extensions").mkdir()
    before = set(sys.modules)
    for name, text in MODULES.items():
        (tmp_path / "extensions" / f"{name}.py").write_text(text, encoding="utf-8")
    deciding._statements.cache_clear()
    yield tmp_path
    for name in set(sys.modules) - before:
        if "extensions" in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
    deciding._statements.cache_clear()


def params(**update: Any) -> PretrainParams:
    return PretrainParams.model_validate({**PARAMS.model_dump(), "epochs": 1, **update})


def key(params: PretrainParams) -> str:
    deciding._statements.cache_clear()
    config = EncoderConfig.model_validate(
        {
            "method": "c2vl",
            "benchmark": "xsub",
            "stream": "joint",
            "seed": 0,
            "encoder": params.encoder,
            "frames": params.view.frames,
        }
    )
    return described(config, params, "data", "cpu").key


def test_the_page_shows_one_of_each() -> None:
    assert set(MODULES) == {"my_encoder", "my_loss", "my_question"}
    assert set(SECTIONS) == {"pretrain", "caption"}


def test_the_page_s_encoder_and_loss_train_and_are_read_back(project: Path) -> None:
    write_data(project / "data", clips=24)
    clips = load_clips(project / "data", BENCHMARK, "train", "cpu")
    own = params(**SECTIONS["pretrain"])
    prompts = load_prompts(project / "data", clips.samples, own.objective.kinds, "cpu")
    state = torch.random.get_rng_state()
    assert isinstance(make_objective(own.objective), ImportedObjective)
    assert torch.equal(torch.random.get_rng_state(), state), "trying draws no random number"
    done = train("c2vl", clips, prompts, 4, BENCHMARK, "joint", own, BaselinesParams())
    assert type(done.network.encoder).__name__ == "MeanPool"
    assert done.network.encoder.features == 32 and done.curves[0].loss > 0
    save_checkpoint(project / "out", done.network, done.config, done.curves)
    assert load_checkpoint(project / "out").config.encoder.name == "my_encoder:MeanPool"
    baseline = train("infonce", clips, prompts, 4, BENCHMARK, "joint", own, BaselinesParams())
    assert baseline.config.training["objective"].get("name") is None


def test_the_page_s_question_is_asked_as_text(project: Path) -> None:
    captioner = {"model": "nowhere", **SECTIONS["caption"]["captioner"]}
    asked = CaptionerParams.model_validate(captioner)
    assert asked.question.startswith("Which object") and asked.question in asked.prompt()
    (project / "extensions/question.txt").write_text("What is\nhe doing?\n", encoding="utf-8")
    source = {"file": "extensions/question.txt"}
    asked = CaptionerParams.model_validate({"model": "nowhere", "question": source})
    assert asked.question == "What is he doing?"


def test_code_and_arguments_are_in_the_key_and_comments_are_not(project: Path) -> None:
    own = params(**SECTIONS["pretrain"])
    before = key(own)
    for name, comment, code in (
        ("my_encoder", ("mean over time", "average over time"), ("nn.ReLU()", "nn.GELU()")),
        ("my_loss", ("Hinge loss", "A hinge loss"), (".mean()", ".sum()")),
    ):
        path = project / "extensions" / f"{name}.py"
        path.write_text(MODULES[name].replace(*comment))
        assert key(own) == before, name
        path.write_text(MODULES[name].replace(*code))
        assert key(own) != before, name
        path.write_text(MODULES[name])
    wider = {**SECTIONS["pretrain"]["encoder"], "width": 16}
    assert key(params(**{**SECTIONS["pretrain"], "encoder": wider})) != before
    less = {**SECTIONS["pretrain"]["objective"], "arguments": {"margin": 0.1}}
    assert key(params(**{**SECTIONS["pretrain"], "objective": less})) != before


def test_the_key_covers_modules_beside_and_whole_packages(project: Path) -> None:
    folder = project / "extensions"
    (folder / "top.py").write_text("from beside import x\nimport json\n")
    (folder / "beside.py").write_text("x = 1\n")
    (folder / "pack").mkdir()
    for name in ("__init__", "one", "two"):
        (folder / "pack" / f"{name}.py").write_text("")
    assert [path.name for path in code_files("top")] == ["beside.py", "top.py"]
    found = [path.name for path in code_files("pack.one")]
    assert found == ["__init__.py", "one.py", "two.py"]


WRONG = """
import torch
from torch import nn
class NoWidth(nn.Module):
    def __init__(self, graph): super().__init__()
    def forward(self, x): return x.mean(dim=(2, 3, 4))
class WrongShape(NoWidth):
    features = 7
class Fails(NoWidth):
    def forward(self, x): return x.nonsense()
class Free(nn.Module):
    def __init__(self, graph=None): super().__init__()
    def forward(self, student, teacher, alpha, generator): return torch.ones(())
number = 3
def question(): return 3
"""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wrong:NoWidth", "needs an attribute `features`"),
        ("wrong:WrongShape", r"returned \(2, 3\).*has to return \(2, 7\)"),
        ("wrong:Fails", "failed on a clip of .* frames .AttributeError"),
        ("wrong:number", "not a class of torch.nn.Module"),
        ("wrong:Nothing", "wrong has no 'Nothing'"),
        ("nowhere:Class", "nowhere cannot be imported .there is no such module.; put it into"),
        ("../wrong:Class", "is not module:name"),
        ("broken:Class", "broken cannot be imported .SyntaxError"),
        ("my_encoder:MeanPool", "got an unexpected keyword argument 'widht'"),
    ],
)
def test_a_wrong_encoder_is_one_sentence(project: Path, name: str, message: str) -> None:
    (project / "extensions/wrong.py").write_text(WRONG)
    (project / "extensions/broken.py").write_text("def (")
    more = {"widht": 3} if name.startswith("my_") else {}
    with pytest.raises(UserError, match=message) as caught:
        params(encoder={"name": name, **more})
    assert "`pretrain.encoder.name`" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        ({"name": "wrong:Free"}, "a scalar tensor that has a gradient"),
        ({"name": "wrong:Fails", "arguments": {"graph": 1}}, "failed on a batch of four"),
        ({"name": "my_loss:Margin", "arguments": {"m": 1}}, "unexpected keyword argument 'm'"),
        ({"name": "wrong:number"}, "not a class of torch.nn.Module"),
    ],
)
def test_a_wrong_loss_is_one_sentence(
    project: Path, objective: dict[str, Any], message: str
) -> None:
    (project / "extensions/wrong.py").write_text(WRONG)
    own = params(objective=objective)
    with pytest.raises(UserError, match=message) as caught:
        make_objective(own.objective)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ({"file": "../secret.txt"}, "has to lie in extensions/"),
        ({"file": "extensions/none.txt"}, "cannot be read"),
        ({"function": "wrong:question"}, "has to return a text, not int"),
        ({"function": "wrong:number"}, "failed .TypeError"),
        ({"url": "x"}, "is a text, {file: PATH} or"),
    ],
)
def test_a_wrong_question_is_one_sentence(
    project: Path, question: dict[str, str], message: str
) -> None:
    (project / "extensions/wrong.py").write_text(WRONG)
    with pytest.raises(UserError, match=message):
        CaptionerParams.model_validate({"model": "nowhere", "question": question})


def test_only_extensions_is_searched(project: Path) -> None:
    (project / "elsewhere.py").write_text("class E: pass\n")
    with pytest.raises(UserError, match="no such module"):
        params(encoder={"name": "elsewhere:E"})


def test_the_stages_that_use_extensions_depend_on_them() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    users = {name for name, stage in stages.items() if "extensions" in stage.get("deps", ())}
    assert users == {"caption", "pretrain", "baselines", "zero_shot_pretrain"}
    assert (ROOT / "extensions/README.md").is_file()


def test_the_settings_check_names_it(project: Path) -> None:
    found = yaml.safe_load((ROOT / "profiles/demo.yaml").read_text(encoding="utf-8"))
    encoder, objective = (SECTIONS["pretrain"][name] for name in ("encoder", "objective"))
    found["pretrain"]["encoder"] = encoder
    found["pretrain"]["objective"] |= objective
    assert faults(found) == []
    found["pretrain"]["objective"]["arguments"] = {"m": 1}
    assert faults(found)[0].startswith("`pretrain.objective.name`: my_loss:Margin: got an")
    found["pretrain"]["encoder"] = {"name": "nowhere:E"}
    assert faults(found)[0].startswith("`pretrain.encoder.name`: nowhere cannot be imported")
