"""The captioner of whole clips: one question about the crops of a clip, in order.

The crops are several images in one turn of the chat. A video input is not used: its frames must
have one size, and crops have many.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from c2vl.prompts.engines.batching import Batching
from c2vl.prompts.engines.captioner import (
    CPU_BATCH,
    MAX_BATCH,
    Answer,
    Captioner,
    CaptionerParams,
)
from c2vl.prompts.engines.clip_inputs import Clip, QuestionPreparer, largest_clip, trial_clips
from c2vl.prompts.engines.fingerprints import fingerprint
from c2vl.prompts.engines.model_inputs import to_batch
from c2vl.prompts.engines.several_images import require_clips, require_run, require_seen
from c2vl.prompts.engines.trial import answering

if TYPE_CHECKING:
    import torch

    from c2vl.prompts.engines.model_inputs import Inputs


class ClipCaptioner(Captioner):
    """Answers one question about each clip, as `Captioner` does about each crop.

    Args:
        images: crops of the longest clip.

    Raises:
        UserError: the model does not take that many images in one question.
    """

    def __init__(
        self,
        params: CaptionerParams,
        model: Any,
        processor: Any,
        device: torch.device,
        key: str,
        images: int,
    ) -> None:
        super().__init__(params, model, processor, device, key)
        self._images = images
        fixed, largest = (max(1, most // images) for most in (CPU_BATCH, MAX_BATCH))
        self._batching = Batching("captioner", f"{key} x{images}", device, fixed, largest)
        self._clips = QuestionPreparer.of(params, processor, model.config, images, model.dtype)
        require_run(params.model, self._try, images)

    @classmethod
    def of_clips(
        cls, params: CaptionerParams, device: torch.device | str, images: int
    ) -> ClipCaptioner:
        """Load checkpoint and processor onto `device`, for clips of at most `images` crops.

        Raises:
            UserError: as `Captioner.load`, or the model does not take that many images.
        """
        require_clips(params, images)  # before gigabytes of weights are read
        model, processor, where = cls.parts(params, device)
        with answering(params, model):
            captioner = cls(params, model, processor, where, fingerprint(params), images)
            require_seen(params.model, captioner.prepare, captioner._begin_one, images)
            captioner._try_together([clip[:images] for clip in trial_clips()])
        return captioner

    @property
    def preparer(self) -> QuestionPreparer:  # type: ignore[override]
        """What `prepare` does, as an object that other processes can run."""
        return self._clips

    def prepare(self, clips: Sequence[Clip]) -> list[Inputs]:  # type: ignore[override]
        """Pad if asked, resize, normalise and tokenise; thread-safe, on the CPU."""
        return self._clips(clips)

    def __call__(self, clips: Sequence[Clip]) -> list[Answer]:  # type: ignore[override]
        """Answer the question about each clip."""
        return self.answer(self.prepare(clips))

    def batch_size(self) -> int:
        """Crops per batch: a clip counts as many as the longest one has."""
        longest = self._generation_config(min_new_tokens=self._params.max_new_tokens)
        clips = self._batching.size(
            lambda count: self._generate(to_batch([self._longest()] * count, self._device), longest)
        )
        return clips * self._images

    def _try(self) -> None:
        config = self._generation_config()
        config.max_new_tokens = 1
        self._generate(to_batch([self._longest()], self._device), config)

    def _begin_one(self, ready: Inputs) -> Any:
        return self._begin([ready])

    def _longest(self) -> Inputs:
        return self.prepare([largest_clip(self._images)])[0]
