"""Reads `ablations.yaml`: which parameters a sweep changes, where, and the paper's numbers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import yaml
from pydantic import Field, ValidationError, model_validator

from c2vl.core.errors import UserError
from c2vl.core.params import ParamsModel, sentence
from c2vl.datasets.data_params import DataParams
from c2vl.training.checkpoint import Method
from c2vl.training.training_params import PretrainParams

Split = Literal["test", "validation"]
Scalar = bool | int | float | str | None


class Setting(ParamsModel):
    """One row of a table or one point of a figure.

    Args:
        name: shown in the table.
        set: dotted names of section `pretrain` → values; a value may replace a whole sub-section.
        studio_set: used instead of `set` on the synthetic world.
        paper: the paper's accuracy in percent on NTU RGB+D 60, by benchmark; only shown.
        x: place on the axis of a figure.
        line: settings with the same `line` make one line of the figure.
        method: what trains; an oracle sees the labels, so its name has to begin with that word.
    """

    name: str
    set: dict[str, Any] = Field(default_factory=dict)
    studio_set: dict[str, Any] | None = None
    paper: dict[str, float] = Field(default_factory=dict)
    x: float | None = None
    line: str = ""
    method: Literal["c2vl", "infonce", "oracle"] = "c2vl"

    @model_validator(mode="after")
    def _shows_that_it_is_an_oracle(self) -> Setting:
        shown = all(text.startswith("oracle") for text in (self.name, self.line or self.name))
        if (self.method == "oracle") != shown:
            raise ValueError(
                "`method: oracle` and names that begin with 'oracle' belong together: it trains "
                "with the true labels and must not look like a result"
            )
        return self


class Sweep(ParamsModel):
    """A table (settings without `x`) or a figure (settings with `x`).

    With the split `validation`, accuracy is measured on some held-out training subjects, not on the
    test split; each seed holds out others. Choose defaults only there, never on `test`.
    `studio_title` replaces `title` on the synthetic world. `against` names the setting that the
    others are compared with; by default it is the first. `lines` and `points` make settings: each
    line at each point, named `line, point`. Where `against` names a line, settings are compared
    with it at their own point. `base` changes what each setting starts from; `seeds` replaces the
    file's. `fused` also trains the streams motion and bone, and shows the three streams fused.
    """

    title: str
    studio_title: str | None = None
    reference: str = ""
    split: Split = "test"
    seeds: int | None = Field(default=None, ge=1)
    base: dict[str, Any] = Field(default_factory=dict)
    benchmarks: list[str] = Field(default=["xsub"], min_length=1)
    axis: str = ""
    against: str | None = None
    fused: bool = False
    settings: list[Setting] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _each_line_at_each_point(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "lines" not in given:
            return given
        rest = {key: value for key, value in given.items() if key not in ("lines", "points")}
        lines, points = (
            [Setting.model_validate(row) for row in given.get(key) or []]
            for key in ("lines", "points")
        )
        settings = [
            point.model_copy(
                update={
                    "name": f"{line.name}, {point.name}",
                    "line": line.name,
                    "method": line.method,
                    "set": {**line.set, **point.set},
                }
            )
            for point in points
            for line in lines
        ]
        return {**rest, "settings": settings}

    @model_validator(mode="after")
    def _has_what_it_is_compared_with(self) -> Sweep:
        names = {name for row in self.settings for name in (row.name, row.line)}
        if self.against is not None and self.against not in names:
            raise ValueError(f"`against` names no setting or line of the sweep: '{self.against}'")
        return self

    @property
    def compared_with(self) -> str:
        """The setting or line that differences are taken from."""
        return self.against or self.settings[0].name

    def compared(self, setting: Setting) -> str:
        """Name of the setting to compare `setting` with; its own name if that one was left out."""
        name = self.compared_with
        if name in {row.line for row in self.settings}:
            name += setting.name.removeprefix(setting.line)
        return name if name in {row.name for row in self.settings} else setting.name

    def without(self, names: Collection[str]) -> Sweep | None:
        """The sweep without these settings; None if nothing is left."""
        settings = [row for row in self.settings if row.name not in names]
        kept = {name for row in settings for name in (row.name, row.line)}
        against = self.against if self.against in kept else None
        update = {"settings": settings, "against": against}
        return self.model_copy(update=update) if settings else None


class Ablations(ParamsModel):
    """The content of the file; `stream`, `seeds` and `base` apply to every sweep.

    `base` changes section `pretrain`, like a setting's `set`. `studio_base` replaces it on the
    synthetic world.
    """

    stream: Literal["joint", "motion", "bone"] = "joint"
    seeds: int = Field(default=3, ge=1)
    base: dict[str, Any] = Field(default_factory=dict)
    studio_base: dict[str, Any] | None = None
    sweeps: dict[str, Sweep]

    def of(self, data: DataParams) -> Ablations:
        """The sweeps for a data set, with the benchmarks and (on the studio) the values it needs.

        A sweep without any benchmark of `data` is left out.
        """
        studio = data.dataset == "studio"

        def chosen(usual: Any, on_the_studio: Any) -> Any:
            return on_the_studio if studio and on_the_studio is not None else usual

        sweeps = {}
        for name, sweep in self.sweeps.items():
            settings = [
                row.model_copy(update={"set": chosen(row.set, row.studio_set)})
                for row in sweep.settings
            ]
            title = chosen(sweep.title, sweep.studio_title)
            if benchmarks := [each for each in sweep.benchmarks if each in data.benchmarks]:
                sweeps[name] = sweep.model_copy(
                    update={"title": title, "settings": settings, "benchmarks": benchmarks}
                )
        return self.model_copy(
            update={"base": chosen(self.base, self.studio_base), "sweeps": sweeps}
        )


class Job(NamedTuple):
    """One training and its evaluation; of all three streams if `fused`."""

    split: Split
    benchmark: str
    seed: int
    params: PretrainParams
    method: Method = "c2vl"
    fused: bool = False


def read_ablations(path: Path) -> Ablations:
    """Return the declared sweeps.

    Raises:
        UserError: the file is missing, or its content does not declare sweeps.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Ablations.model_validate(content)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); restore it with `git checkout {path.name}`."
        ) from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML ({' '.join(str(error).split())}).") from None
    except ValidationError as error:
        raise UserError(f"{path}: {sentence(error.errors()[0], content)}") from None


def applied(base: PretrainParams, changes: Mapping[str, Any], where: str) -> PretrainParams:
    """Section `pretrain` with other values at the given dotted names.

    Raises:
        UserError: a name is not a parameter, or a value is not allowed; the message starts with
            `where`.
    """
    section = base.model_dump()
    for dotted, value in changes.items():
        *path, last = dotted.split(".")
        place, owner = section, cast(Any, base)
        for part in path:
            place = place.get(part, {}) if isinstance(place, dict) else {}
            owner = getattr(owner, part, None)
        if last not in {*place, *getattr(type(owner), "model_fields", ())}:
            raise UserError(f"{where}: there is no parameter `pretrain.{dotted}`.")
        place[last] = value
    try:
        return PretrainParams.model_validate(section)
    except ValidationError as error:
        found = sentence(error.errors()[0], section, "pretrain")
        raise UserError(f"{where}: {found}") from None


def jobs(
    sweep: Sweep, setting: Setting, base: PretrainParams, seeds: int, where: str
) -> Iterator[Job]:
    """The runs of one setting: one for each benchmark and seed.

    Raises:
        UserError: as `applied`.
    """
    changes = {**sweep.base, **setting.set}
    params = applied(base, changes, f"{where}, setting '{setting.name}'")
    if setting.method != "c2vl":  # what it does not read must not make another run
        params = params.model_copy(update={"objective": params.objective.only_hard()})
    for benchmark in sweep.benchmarks:
        for seed in range(base.seed, base.seed + (sweep.seeds or seeds)):
            seeded = params.model_copy(update={"seed": seed})
            yield Job(sweep.split, benchmark, seed, seeded, setting.method, sweep.fused)
