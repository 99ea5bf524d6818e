"""Paths by their ends, against a look at each of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vjo_train.data.sources.path_ends import PathEnds, ends_of

PARTS = st.lists(st.sampled_from(["a", "b", "ab", "a.", "0", "\uffff"]), min_size=1, max_size=4)
PATHS = st.lists(PARTS.map("/".join), unique=True, max_size=12)


@given(PATHS, PARTS)
def test_paths_are_those_that_end_with_all_parts(paths: list[str], end: list[str]) -> None:
    wanted = sorted(path for path in paths if path.split("/")[-len(end) :] == end)
    found = PathEnds((path, path) for path in paths)
    assert found.of("/".join(end)) == wanted
    assert ("/".join(end) in found) == bool(wanted)


def test_ends_of_a_path() -> None:
    assert list(ends_of("a/b/c.d")) == ["a/b/c.d", "b/c.d", "c.d"]
