"""A cache within a budget of bytes: larger values are not kept, and caches may share a budget."""

from dataclasses import dataclass

from negsift.service.scoring.byte_limited_cache import ByteBudget, ByteLimitedCache


@dataclass(frozen=True)
class Value:
    name: str
    size_bytes: int


def test_values_are_kept_within_a_budget_that_caches_share() -> None:
    budget = ByteBudget(10)
    one, other = ByteLimitedCache[Value](budget), ByteLimitedCache[Value](budget)
    first, second, smaller = Value("first", 6), Value("second", 4), Value("smaller", 3)
    one.put(1, first)
    other.put(1, Value("too large", 5))
    other.put(2, second)
    assert (one.get(1), other.get(1), other.get(2), budget.used_bytes) == (first, None, second, 10)
    other.put(2, smaller)
    one.clear()
    assert (one.get(1), other.get(2), budget.used_bytes) == (None, smaller, 3)
    other.clear()
    assert (other.get(2), budget.used_bytes) == (None, 0)
