"""Several images in one call of an image processor, where that changes no bit of the result.

A processor checks its arguments and tokenises the same question again for each image. For a small
image that costs more than its pixels do, and it holds the interpreter's lock, for which the
engine's thread waits. Where the other tensors do not depend on the image, they are made once, and
the image processor is called alone for a whole batch. A test on a few small images finds out
whether a processor allows this; all others are called image by image.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from c2vl.prompts.engines.model_inputs import ThreadLocalProcessor, call, only_tensors

if TYPE_CHECKING:
    import torch

    from c2vl.prompts.engines.model_inputs import Inputs

TEST_SHAPES = ((96, 40), (40, 160), (120, 200))  # tall and wide images of different areas
PIXELS = {"pixel_values", "pixel_mask"}


@dataclass(frozen=True)
class CallPlan:
    """How a processor is called.

    Attributes:
        text: the text's tensors, (1, L) each, equal for all images. None: call the processor for
            each image.
        mixed: whether images of different shapes may share a call.
    """

    text: Mapping[str, torch.Tensor] | None
    mixed: bool = False


class BatchedProcessor:
    """Turns images into inputs, all with the same text where there is one; in any thread.

    Args:
        processor: a processor of images and text, or an image processor.
        plan: how to call it, if that is known.
        always: arguments besides `images`, such as `text` (a string) or `size`.
    """

    def __init__(
        self, processor: ThreadLocalProcessor, plan: CallPlan | None = None, /, **always: Any
    ) -> None:
        self._processor, self._always = processor, always
        self._plan = plan
        self._masks: dict[tuple[int, ...], torch.Tensor] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(BatchedProcessor, **self._always), (self._processor, self.plan())

    def __call__(self, dtype: torch.dtype, images: Sequence[np.ndarray]) -> list[Inputs]:
        """The inputs of each image (H, W, 3) uint8 RGB: on the CPU, floating-point as `dtype`."""
        if not images:
            return []
        plan = self.plan()
        if plan.text is None:
            return [self._processor(dtype, images=image, **self._always) for image in images]
        items: dict[int, Inputs] = {}
        for indices in _calls(images, plan.mixed):
            rows = self._pixels([images[index] for index in indices])
            items |= {
                index: self._item(dtype, row, plan.text)
                for index, row in zip(indices, rows, strict=True)
            }
        return [items[index] for index in range(len(images))]

    def plan(self) -> CallPlan:
        """How this processor is called; found out at the first call."""
        with self._lock:
            if self._plan is None:
                self._plan = self._find_plan()
        return self._plan

    def _find_plan(self) -> CallPlan:
        random = np.random.default_rng(0)
        images = [
            random.integers(0, 256, (*shape, 3), dtype=np.uint8)
            for shape in TEST_SHAPES
            for _ in range(2)
        ]
        processor = self._processor.of_thread()
        singly = [only_tensors(call(processor, images=image, **self._always)) for image in images]
        texts = [
            {name: value for name, value in one.items() if name not in PIXELS} for one in singly
        ]
        text = texts[0]
        if text and "text" not in self._always:
            return CallPlan(None)
        # A model that gets pixels alone of an image cannot want another text for another image of
        # the same shape. For another shape it might, but it did not for the shapes tested here.
        if not all(_equal(other, text) for other in texts):
            return CallPlan(None)
        try:
            if _same(self._pixels(images), text, singly):
                return CallPlan(text, mixed=True)
            pairs = [slice(at, at + 2) for at in range(0, len(images), 2)]
            if all(_same(self._pixels(images[pair]), text, singly[pair]) for pair in pairs):
                return CallPlan(text)
        except (ValueError, RuntimeError, TypeError, AttributeError):
            pass  # the image processor cannot be called alone
        return CallPlan(None)

    def _pixels(self, images: Sequence[np.ndarray]) -> list[dict[str, torch.Tensor]]:
        """The image processor's tensors for each image, (1, ...) each.

        They are never stacked, because that would copy all pixels once more.
        """
        import torch

        processor = self._processor.of_thread()
        arguments = {name: value for name, value in self._always.items() if name != "text"}
        made = getattr(processor, "image_processor", processor)(images=list(images), **arguments)
        # Contiguous as a stack would be: the engine's kernels, and so the last bits, depend on it.
        columns = {
            name: [torch.from_numpy(np.ascontiguousarray(one))[None] for one in rows]
            for name, rows in made.items()
        }
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _item(
        self,
        dtype: torch.dtype,
        pixels: Mapping[str, torch.Tensor],
        text: Mapping[str, torch.Tensor],
    ) -> Inputs:
        """Join one image's tensors with the text's; equal masks become one shared tensor.

        Masks are nearly always all ones and, as int64, nearly as large as the pixels.
        """
        import torch

        item = {
            name: value.to(dtype) if value.is_floating_point() else value
            for name, value in pixels.items()
        }
        for name in item.keys() - {"pixel_values"}:
            known = self._masks.setdefault(tuple(item[name].shape), item[name])
            item[name] = known if torch.equal(known, item[name]) else item[name]
        return {**item, **text}


def _calls(images: Sequence[np.ndarray], mixed: bool) -> list[list[int]]:
    """Indices of the images that share a call."""
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, image in enumerate(images):
        groups[() if mixed else image.shape].append(index)
    return list(groups.values())


def _same(rows: Sequence[Inputs], text: Inputs, singly: Sequence[Inputs]) -> bool:
    """Whether `rows` hold only pixels and, joined with `text`, equal the results image by image."""
    return all(
        row.keys() <= PIXELS and _equal({**row, **text}, one)
        for row, one in zip(rows, singly, strict=True)
    )


def _equal(one: Inputs, other: Inputs) -> bool:
    """Whether two items have equal names, formats and numbers."""
    import torch

    return one.keys() == other.keys() and all(
        value is not None and value.dtype == other[name].dtype and torch.equal(value, other[name])
        for name, value in one.items()
    )
