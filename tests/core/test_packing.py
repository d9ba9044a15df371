"""What is packed into shared memory comes out as it was, in a message that a pipe takes at once."""

from __future__ import annotations

import select
from dataclasses import dataclass
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from c2vl.core.packing import ALIGNED, packed, unpacked

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


def through(made: Any) -> Any:
    return unpacked(packed(made))


@settings(deadline=None)
@given(PREPARED)
def test_whatever_is_prepared_comes_out_as_it_was(made: Any) -> None:
    assert same(made, through(made))


@pytest.mark.parametrize(
    "kind", [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool]
)
def test_tensors_of_every_kind_of_an_engine_keep_dtype_shape_and_bits(kind: torch.dtype) -> None:
    tensors = {"pixels": (torch.randn(3, 5, 7) * 100).to(kind), "none": torch.zeros(0, 4).to(kind)}
    made = [Item(tensors, 9), ValueError("b")]
    item, failure = through(made)
    assert (item.height, str(failure)) == (9, "b")
    for name, tensor in tensors.items():
        assert item.tensors[name].dtype == kind and item.tensors[name].is_contiguous()
        assert torch.equal(item.tensors[name], tensor)


def test_a_transposed_array_and_a_cut_tensor_come_with_the_values_that_are_seen() -> None:
    array, tensor = np.arange(24).reshape(2, 3, 4), torch.arange(24.0).view(4, 6)
    one, two = through((array.T, tensor[1:3, ::2]))
    assert np.array_equal(one, array.T) and torch.equal(two, tensor[1:3, ::2])


def test_what_items_share_is_packed_once_and_shared_again() -> None:
    mask, picture = torch.ones(1000), np.zeros(1000, np.uint8)
    memory = packed([(mask, picture), (mask, picture)])
    assert memory.nbytes < 1.5 * (mask.nbytes + picture.nbytes)
    (first, one), (second, other) = unpacked(memory)
    assert first is second and one is other


def test_arrays_are_aligned_as_fresh_ones_are_and_belong_to_who_unpacked_them() -> None:
    one, two = through([np.ones(3, np.uint8), torch.ones(5)])
    assert one.ctypes.data % ALIGNED == 0 and two.data_ptr() % ALIGNED == 0
    one[0], two[0] = 7, 7
    assert one.tolist() == [7, 1, 1] and two.tolist() == [7, 1, 1, 1, 1]


def test_arrays_stay_when_what_they_were_packed_in_is_forgotten() -> None:
    opened = through({"a": np.arange(5), "b": torch.arange(5)})
    part = opened["b"][2:]
    del opened
    assert part.tolist() == [2, 3, 4]


def test_the_message_of_a_large_batch_is_so_short_that_a_dead_worker_leaves_no_half_of_it() -> None:
    """A pipe takes `PIPE_BUF` bytes, 4096 on Linux, whole or not at all."""
    memory = packed([{"pixels": torch.ones(3, 200, 200), "text": "x" * 10**6} for _ in range(64)])
    message = bytes(ForkingPickler.dumps((7, memory)))
    assert len(message) + 8 < select.PIPE_BUF
