"""Several images through an image processor in one call, where that gives to the bit what calls of its processor give.

A processor checks its arguments and tokenises the same question for each image anew: for a small image that costs more than its
pixels do, and it holds Python's lock, which the engine's thread waits for. Where an image has a say in nothing but pixels, the
text's tensors are made once and the image processor is called alone, for a whole batch. Which processors are such is found out
on a few small pictures, not believed; all others are called image by image.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from c2vl.prompts.engines.model_inputs import ThreadLocalProcessor, tensors

if TYPE_CHECKING:
    import torch

    from c2vl.prompts.engines.model_inputs import Inputs

SHAPES = ((96, 40), (40, 160), (120, 200))  # of the pictures: tall and wide, of different areas
PIXELS = {"pixel_values", "pixel_mask"}


@dataclass(frozen=True)
class CallPlan:
    """How images become items.

    Attributes:
        words: the text's tensors, (1, L) each, the same for any image; None: the processor is called for each image.
        mixed: whether images of different shapes may share a call.
    """

    words: Mapping[str, torch.Tensor] | None
    mixed: bool = False


class BatchedProcessor:
    """Makes items of images, all with the same text where there is one; in any thread.

    Args:
        processors: a processor of images and text, or an image processor.
        found: how it is used, where that is known.
        always: arguments besides `images`, such as `text` (a string) or `size`.
    """

    def __init__(
        self, processors: ThreadLocalProcessor, found: CallPlan | None = None, /, **always: Any
    ) -> None:
        self._processors, self._always = processors, always
        self._found = found
        self._masks: dict[tuple[int, ...], torch.Tensor] = {}
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(BatchedProcessor, **self._always), (self._processors, self.way())

    def __call__(self, dtype: torch.dtype, images: Sequence[np.ndarray]) -> list[Inputs]:
        """One item for each image (H, W, 3) uint8 RGB: its tensors on the CPU, numbers with a fraction already as `dtype`."""
        if not images:
            return []
        way = self.way()
        if way.words is None:
            return [self._processors(dtype, images=image, **self._always) for image in images]
        items: dict[int, Inputs] = {}
        for indices in _calls(images, way.mixed):
            made = self._pixels([images[index] for index in indices])
            items |= {
                index: self._item(dtype, row, way.words)
                for index, row in zip(indices, made, strict=True)
            }
        return [items[index] for index in range(len(images))]

    def way(self) -> CallPlan:
        """How this processor is used; found at the first call."""
        with self._lock:
            if self._found is None:
                self._found = self._find()
        return self._found

    def _find(self) -> CallPlan:
        random = np.random.default_rng(0)
        pictures = [
            random.integers(0, 256, (*shape, 3), dtype=np.uint8)
            for shape in SHAPES
            for _ in range(2)
        ]
        singly = [
            tensors(self._processors.here()(images=one, **self._always, return_tensors="pt"))
            for one in pictures
        ]
        words = {name: value for name, value in singly[0].items() if name not in PIXELS}
        if words and "text" not in self._always:
            return CallPlan(None)
        # A model that is told nothing of an image but its pixels cannot want another text for another image of the same shape.
        # One of another shape might; those shown here did not.
        if not all(
            _equal({name: one[name] for name in one if name not in PIXELS}, words) for one in singly
        ):
            return CallPlan(None)
        try:
            if _same(self._pixels(pictures), words, singly):
                return CallPlan(words, mixed=True)
            pairs = [slice(at, at + 2) for at in range(0, len(pictures), 2)]
            if all(_same(self._pixels(pictures[pair]), words, singly[pair]) for pair in pairs):
                return CallPlan(words)
        except (ValueError, RuntimeError, TypeError, AttributeError):
            pass  # it cannot be called like this
        return CallPlan(None)

    def _pixels(self, images: Sequence[np.ndarray]) -> list[dict[str, torch.Tensor]]:
        """What the image processor makes of each image, as rows of one; never stacked, which would copy all of it once more."""
        import torch

        processor = self._processors.here()
        arguments = {name: value for name, value in self._always.items() if name != "text"}
        made = getattr(processor, "image_processor", processor)(images=list(images), **arguments)
        # Contiguous as a stack of them would be: an engine's kernels, and so its last bits, depend on that too.
        columns = {
            name: [torch.from_numpy(np.ascontiguousarray(one))[None] for one in rows]
            for name, rows in made.items()
        }
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _item(
        self,
        dtype: torch.dtype,
        pixels: Mapping[str, torch.Tensor],
        words: Mapping[str, torch.Tensor],
    ) -> Inputs:
        """Masks are nearly always all ones and, as int64, nearly as large as the pixels: equal ones are one tensor."""
        import torch

        item = {
            name: value.to(dtype) if value.is_floating_point() else value
            for name, value in pixels.items()
        }
        for name in item.keys() - {"pixel_values"}:
            known = self._masks.setdefault(tuple(item[name].shape), item[name])
            item[name] = known if torch.equal(known, item[name]) else item[name]
        return {**item, **words}


def _calls(images: Sequence[np.ndarray], mixed: bool) -> list[list[int]]:
    """Indices of the images that share a call."""
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, image in enumerate(images):
        groups[() if mixed else image.shape].append(index)
    return list(groups.values())


def _same(rows: Sequence[Inputs], words: Inputs, singly: Sequence[Inputs]) -> bool:
    """Whether `rows`, pixels alone, with `words` are what calls for each image made."""
    return all(
        row.keys() <= PIXELS and _equal({**row, **words}, one)
        for row, one in zip(rows, singly, strict=True)
    )


def _equal(one: Inputs, other: Inputs) -> bool:
    """Whether names, formats and numbers of two items are equal."""
    import torch

    return one.keys() == other.keys() and all(
        value is not None and value.dtype == other[name].dtype and torch.equal(value, other[name])
        for name, value in one.items()
    )
