"""What a process lays into shared memory comes out of it as it was, and the memory is free again when it is gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from c2vl.store.handover import ALIGNED, AVAILABLE, Inherited, Slots
from c2vl.store.work import Failure

pytestmark = pytest.mark.skipif(
    not AVAILABLE, reason="this system has no memory without a name to share"
)

KINDS = st.sampled_from(["float32", "float16", "float64", "int64", "uint8", "bool"])
SHAPES = arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
ARRAYS = KINDS.flatmap(lambda kind: arrays.arrays(kind, SHAPES))
PREPARED = st.recursive(
    ARRAYS | st.binary(max_size=20) | st.text(max_size=5) | st.integers() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@dataclass
class Item:
    tensors: dict[str, torch.Tensor]
    height: int


def same(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        alike = one.dtype == other.dtype and one.shape == other.shape
        return bool(
            alike and np.ascontiguousarray(one).tobytes() == np.ascontiguousarray(other).tobytes()
        )
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    return type(one) is type(other) and one == other


def handed_over(made: Any, slots: Slots, inherited: Inherited) -> Any:
    slot = slots.take()
    assert slot is not None
    return slots.open(inherited.pack(made, slot))


def free(slots: Slots) -> int:
    """How many slots can be taken; leaves them taken."""
    count = 0
    while slots.take() is not None:
        count += 1
    return count


@settings(deadline=None)
@given(st.lists(PREPARED, min_size=1, max_size=5))
def test_whatever_is_prepared_comes_out_as_it_was_through_one_slot_used_again_and_again(
    items: list[Any],
) -> None:
    slots = Slots(1)
    inherited = slots.inherited()
    for made in items:
        assert same(made, handed_over(made, slots, inherited))
    assert free(slots) == 1


@pytest.mark.parametrize(
    "kind", [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool]
)
def test_tensors_of_every_kind_of_an_engine_keep_dtype_shape_and_bits(kind: torch.dtype) -> None:
    slots = Slots(1)
    made = [
        Item(
            {
                "pixels": (torch.randn(3, 5, 7) * 100).to(kind),
                "none": torch.zeros(0, 4, dtype=kind),
            },
            9,
        ),
        Failure("a", "b"),
    ]
    item, failure = handed_over(made, slots, slots.inherited())
    assert (item.height, failure) == (9, made[1])
    for name, tensor in made[0].tensors.items():
        assert item.tensors[name].dtype == kind and item.tensors[name].is_contiguous()
        assert torch.equal(item.tensors[name], tensor)


def test_a_transposed_array_and_a_cut_tensor_come_with_the_values_that_are_seen() -> None:
    slots = Slots(1)
    array, tensor = np.arange(24).reshape(2, 3, 4), torch.arange(24.0).view(4, 6)
    one, two = handed_over((array.T, tensor[1:3, ::2]), slots, slots.inherited())
    assert np.array_equal(one, array.T) and torch.equal(two, tensor[1:3, ::2])


def test_what_items_share_is_laid_out_once_and_shared_again() -> None:
    slots = Slots(1)
    mask, picture = torch.ones(1000), np.zeros(1000, np.uint8)
    slot = slots.take()
    assert slot is not None
    packed = slots.inherited().pack([(mask, picture), (mask, picture)], slot)
    assert len(packed.places) == 2 and len(packed.frame) < 1000
    (first, one), (second, other) = slots.open(packed)
    assert first is second and one is other


def test_arrays_are_aligned_as_fresh_ones_are_and_belong_to_who_opened_them() -> None:
    slots = Slots(1)
    one, two = handed_over([np.ones(3, np.uint8), torch.ones(5)], slots, slots.inherited())
    assert one.ctypes.data % ALIGNED == 0 and two.data_ptr() % ALIGNED == 0
    one[0], two[0] = 7, 7
    assert one.tolist() == [7, 1, 1] and two.tolist() == [7, 1, 1, 1, 1]


def test_a_slot_is_taken_until_the_last_array_in_it_is_gone() -> None:
    slots = Slots(1)
    opened = handed_over({"a": np.arange(5), "b": torch.arange(5)}, slots, slots.inherited())
    part = opened["b"][2:]
    del opened
    assert slots.take() is None
    assert part.tolist() == [2, 3, 4]
    del part
    assert free(slots) == 1


def test_a_slot_that_was_used_is_taken_before_one_that_would_have_to_grow() -> None:
    slots = Slots(3)
    inherited = slots.inherited()
    used = set()
    for _ in range(5):
        slot = slots.take()
        assert slot is not None
        used.add(slot)
        slots.open(inherited.pack(np.ones(10), slot))
    assert len(used) == 1


def test_what_holds_no_array_frees_its_slot_at_once_and_a_larger_batch_gets_a_larger_slot() -> None:
    slots = Slots(1)
    inherited = slots.inherited()
    assert handed_over(["nothing", np.zeros((0, 4))], slots, inherited)[0] == "nothing"
    for size in (10, 100_000, 1000):
        assert int(handed_over(np.ones(size, np.int64), slots, inherited).sum()) == size
    assert free(slots) == 1
