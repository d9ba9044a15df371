"""The key index answers as dictionaries do, also while another thread adds and forgets segments."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from c2vl.store.keys import KeyIndex, content_key, key_array

KEYS = [b"\0" * 16, b"a" + b"\0" * 15, *(content_key("f", number) for number in range(6))]


@given(
    segments=st.dictionaries(st.sampled_from("abcde"), st.lists(st.sampled_from(KEYS), max_size=6)),
    gone=st.sets(st.sampled_from("abcde")),
    wanted=st.lists(st.sampled_from(KEYS)),
)
def test_it_finds_what_plain_dictionaries_find(
    segments: dict[str, list[bytes]], gone: set[str], wanted: list[bytes]
) -> None:
    index = KeyIndex()
    for name, keys in segments.items():
        index.add(name, key_array(keys))
    for removed in (set[str](), gone):
        index.remove(removed)
        held = {name: keys for name, keys in segments.items() if name not in removed}
        known = {key for keys in held.values() for key in keys}
        assert index.known() == known and index.count() == len(known)
        assert index.rows() == {name: len(keys) for name, keys in held.items()}
        assert index.lacks(key_array(wanted)).tolist() == [key not in known for key in wanted]
        if known.issuperset(wanted):
            names, segment, row = index.find(key_array(wanted))
            assert [
                held[names[number]][at] for number, at in zip(segment, row, strict=True)
            ] == wanted
        else:
            with pytest.raises(KeyError):
                index.find(key_array(wanted))


@pytest.mark.parametrize("call", ["searchsorted", "where", "concatenate", "argsort"])
def test_a_segment_that_another_thread_adds_in_the_middle_of_a_question_moves_no_row(
    monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """One thread asks what was detected already while another takes in what a process merged."""
    index, wanted, usual = KeyIndex(), key_array(KEYS), getattr(np, call)
    index.add("m", wanted)
    others: list[threading.Thread] = []

    def meddled(*given: Any, **named: Any) -> Any:
        if not others:
            others.append(
                threading.Thread(target=index.add, args=("a", key_array([content_key("g", 1)])))
            )  # sorts before
            others[0].start()
            others[0].join(0.2)  # it may have to wait
        return usual(*given, **named)

    monkeypatch.setattr(np, call, meddled)
    names, segment, row = index.find(wanted)
    monkeypatch.undo()
    others[0].join()
    assert [names[number] for number in segment] == ["m"] * len(KEYS)
    assert row.tolist() == list(range(len(KEYS)))
    assert sorted(index) == ["a", "m"]
    assert not index.lacks(key_array([*KEYS, content_key("g", 1)])).any()
