"""Sample ids from names of any kind."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from c2vl.core.tables.shard import is_sample_id, shard_of
from c2vl.datasets.sample_ids import sample_id


@given(st.lists(st.text(max_size=200), unique=True, max_size=5))
def test_every_name_has_an_id_of_its_own_that_is_safe(names: list[str]) -> None:
    ids = [sample_id(name) for name in names]
    assert len(set(ids)) == len(names)
    for one in ids:
        assert is_sample_id(one) and shard_of(one)
        assert sample_id(one) == one


def test_names_that_a_file_system_or_a_shell_would_read() -> None:
    for name in ("..", "-rf", "a/../b", "$(touch x)", "喝水", "a\0b", "C:\\x", "\udcff", ""):
        found = sample_id(name)
        assert not set(found) & set("/\\$()\0 :") and not found.startswith((".", "-"))
