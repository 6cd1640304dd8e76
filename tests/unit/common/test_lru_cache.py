"""The LRU cache: what it keeps, what it removes, and in which order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negsift.common.lru_cache import LruCache


def filled(limit: int, keys: str) -> LruCache[str, str]:
    cache: LruCache[str, str] = LruCache(limit)
    for key in keys:
        cache.put(key, key.upper())
    return cache


def test_the_least_recently_used_entry_is_removed() -> None:
    cache = filled(3, "abc")
    assert cache.get("a") == "A"
    cache.put("d", "D")
    assert cache.items() == [("c", "C"), ("a", "A"), ("d", "D")]


def test_looking_at_entries_does_not_count_as_use() -> None:
    cache = filled(2, "ab")
    assert cache.items() == [("a", "A"), ("b", "B")]
    cache.put("c", "C")
    assert cache.get("a") is None


def test_a_value_is_made_once_while_it_is_kept() -> None:
    cache, made = filled(1, ""), list[str]()
    for key in "aab":
        assert cache.get_or_make(key, lambda key=key: (made.append(key), key)[1]) == key
    assert made == ["a", "b"]


def test_a_failed_make_leaves_nothing() -> None:
    cache = filled(2, "a")
    with pytest.raises(ZeroDivisionError):
        cache.get_or_make("b", lambda: str(1 // 0))
    assert cache.items() == [("a", "A")]


def test_popped_and_unknown_keys_give_none() -> None:
    cache = filled(2, "a")
    assert cache.pop("a") == "A"
    assert cache.pop("a") is None
    assert cache.get("a") is None


def test_a_cache_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="a cache of 0 entries"):
        LruCache(0)


@given(limit=st.integers(1, 4), keys=st.text("abcdef"))
def test_the_keys_kept_are_the_last_distinct_ones(limit: int, keys: str) -> None:
    distinct = dict.fromkeys(reversed(keys))
    assert [key for key, _ in filled(limit, keys).items()] == list(distinct)[:limit][::-1]
