"""Lists of names in messages."""

from hypothesis import given
from hypothesis import strategies as st

from negsift.common.some_of import some_of


def test_a_list_says_how_many_more_there_are() -> None:
    assert some_of("abc") == "a, b, c"
    assert some_of("abcde", 3) == "a, b, c and 2 more"
    assert some_of([]) == ""


@given(names=st.lists(st.text("abc", min_size=1, max_size=90)), most=st.integers(1, 9))
def test_names_are_whole_and_none_is_lost(names: list[str], most: int) -> None:
    shown, _, more = some_of(names, most).partition(" and ")
    listed = shown.split(", ") if shown else []
    assert listed == names[: len(listed)]
    assert len(listed) + int(more.removesuffix(" more") or 0) == len(names)
    assert len(shown) <= 160
