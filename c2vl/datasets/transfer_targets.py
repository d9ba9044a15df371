"""`transfer.targets` of `params.yaml`: the data sets that encoders are transferred to."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import ConfigDict, Field, field_validator, model_validator

from c2vl.core.errors import UserError
from c2vl.core.params import ParamsModel, load_section
from c2vl.datasets.data_params import DataParams

TARGET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}", re.ASCII)


class Target(ParamsModel):
    """A data set that encoders are transferred to; only its skeletons are read."""

    dataset: str
    raw: Path
    benchmark: str
    train_subjects: list[int] | None = None
    class_names: list[str] | None = None
    skeleton: str | None = None
    manifest: Path | None = None

    @model_validator(mode="after")
    def _is_a_data_set(self) -> Target:
        self.data()
        return self

    def data(self) -> DataParams:
        """The same as a section `data`."""
        given = {"dataset": self.dataset, "raw": self.raw, "benchmarks": [self.benchmark]}
        given |= {"train_subjects": self.train_subjects, "class_names": self.class_names}
        given |= {"skeleton": self.skeleton, "manifest": self.manifest}
        return DataParams.model_validate(given)


class TransferTargets(ParamsModel):
    """The targets by name; the rest of section `transfer` is `TransferParams`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    targets: dict[str, Target] = Field(default_factory=dict)

    @field_validator("targets")
    @classmethod
    def _names_that_can_be_folders(cls, targets: dict[str, Target]) -> dict[str, Target]:
        for name in targets:
            if not TARGET_NAME.fullmatch(name):
                raise ValueError(
                    f"the target's name '{name}' may have letters, digits, - and _ only: "
                    "it becomes a folder"
                )
        return targets


def load_target(name: str) -> Target:
    """The target called `name` in `params.yaml`.

    Raises:
        UserError: there is none, or it is not valid.
    """
    targets = load_section("transfer", TransferTargets).targets
    if name not in targets:
        raise UserError(
            f"params.yaml: `transfer.targets` has no '{name}', "
            f"only: {', '.join(targets) or 'none'}."
        )
    return targets[name]
