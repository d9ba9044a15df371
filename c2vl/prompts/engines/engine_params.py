"""Parameters that detector, captioner and encoder share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from c2vl.core.params import ParamsModel
from c2vl.prompts.engines.weights import Weights, resolve

if TYPE_CHECKING:
    import torch


class EngineParams(ParamsModel):
    """Which checkpoint an engine runs, and in which number format.

    Attributes:
        model: local folder, or `owner/name` on the Hugging Face hub.
        revision: branch, tag or commit of a hub model; None is its default branch.
        dtype: number format. A detector for which it proves wrong computes in float32 instead
            (`c2vl.prompts.engines.half_precision`). float16 on a CPU is slow.
    """

    ENGINE: ClassVar[str]
    ADAPTER_VERSION: ClassVar[int]

    model: str
    revision: str | None = None
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"

    def identity(self) -> str:
        """Which weights these are, wherever they are stored; does not load them.

        Raises:
            UserError: the checkpoint is missing, unreachable or incomplete.
        """
        return self.resolved().identity

    def in_key(self) -> dict[str, Any]:
        """The parameters that are part of the content key: all but where the weights are."""
        return self.model_dump(mode="json", exclude={"model", "revision"})

    def expects(self) -> tuple[str, ...]:
        """Optional files of the checkpoint (patterns) that change this engine's outputs."""
        return ("tokenizer_config.json",)

    def resolved(self) -> Weights:
        """The checkpoint's folder and identity.

        Raises:
            UserError: as `identity`.
        """
        return resolve(self.model, self.revision, self.expects())


def torch_dtype(params: EngineParams) -> torch.dtype:
    """The torch format that `params.dtype` names."""
    import torch

    formats = {
        "float32": torch.float32,
        "float16": torch.float16,
        "bfloat16": torch.bfloat16,
    }
    return formats[params.dtype]
