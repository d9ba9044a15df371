"""Section `crop.detector` of `params.yaml`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from c2vl.core.errors import UserError
from c2vl.prompts.engines.engine_params import EngineParams
from c2vl.prompts.engines.weights import original_identity

Backend = Literal["transformers", "groundingdino", "skeleton", "auto"]
BY_JOINTS = ("skeleton", "auto")  # backends that crop by the sensor's colour joints


class DetectorParams(EngineParams):
    """Section `crop.detector`.

    Attributes:
        model: the checkpoint; the backend skeleton needs none.
        backend: what finds the people. `transformers`: a detector of transformers.
            `groundingdino`: groundingdino-py in an environment of its own; `model` is then an
            original `.pth` file, and `dtype` is float32. `skeleton`: the colour joints, without a
            detector. `auto`: the colour joints, and the detector of transformers for frames whose
            joints are doubtful (`c2vl.prompts.joint_boxes`).
        prompt: what to look for, in lower case and with a full stop after each phrase, as Grounding
            DINO expects. Of a detector with fixed labels, the labels to use.
        box_threshold: boxes with a lower score are dropped.
        text_threshold: words of the prompt with a lower score do not count towards a box's label.
        shortest_edge: frames are scaled until their shorter side has this many pixels; None is the
            checkpoint's own size.
        longest_edge: the longer side has at most this many pixels.
    """

    ENGINE: ClassVar[str] = "detector"
    ADAPTER_VERSION: ClassVar[int] = 2

    model: str = ""
    backend: Backend = "transformers"
    prompt: str = "person."
    box_threshold: float = Field(default=0.3, ge=0, le=1)
    text_threshold: float = Field(default=0.25, ge=0, le=1)
    shortest_edge: int | None = Field(default=None, ge=32)
    longest_edge: int | None = Field(default=None, ge=32)

    @field_validator("model", mode="before")
    @classmethod
    def _none_is_no_model(cls, model: object) -> object:
        return "" if model is None else model

    @model_validator(mode="after")
    def _has_what_the_backend_can(self) -> DetectorParams:
        if self.backend != "skeleton" and not self.model:
            raise ValueError(
                f"the backend {self.backend} needs a `model`; only skeleton needs none"
            )
        if self.backend == "groundingdino" and self.dtype != "float32":
            raise ValueError("the backend groundingdino computes in `dtype: float32` only")
        return self

    def identity(self) -> str:
        """Identity of the checkpoint; for an original file, of its content and the package."""
        if self.backend == "groundingdino":
            return original_identity(self.model)
        return super().identity()

    def detecting(self) -> DetectorParams:
        """The parameters of the detector itself: with `auto`, those of the backend transformers.

        So both backends share their detections.
        """
        return (
            self.model_copy(update={"backend": "transformers"}) if self.backend == "auto" else self
        )

    def finding(self) -> DetectorParams:
        """`detecting`, for videos without joints.

        Raises:
            UserError: there is no detector, only the joints.
        """
        if self.backend == "skeleton":
            raise UserError(
                "`crop.detector.backend` is skeleton, which finds nobody in videos without "
                "skeletons; set it to transformers and name a `crop.detector.model`."
            )
        return self.detecting()

    def phrases(self) -> list[str]:
        """The phrases of the prompt, such as `person`."""
        return [phrase.strip() for phrase in self.prompt.split(".") if phrase.strip()]

    def size(self) -> dict[str, int] | None:
        """The image processor's `size`; None leaves the checkpoint's own."""
        if self.shortest_edge is None and self.longest_edge is None:
            return None
        shortest = self.shortest_edge or self.longest_edge
        longest = self.longest_edge or self.shortest_edge
        assert shortest is not None and longest is not None
        return {"shortest_edge": shortest, "longest_edge": max(shortest, longest)}
