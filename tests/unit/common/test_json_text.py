"""JSON of files: what json reads, but for what no file of ours has."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negsift.common.json_text import parse_json

PARTS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(PARTS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)


@given(value=VALUES)
def test_it_reads_what_json_reads(value: Any) -> None:
    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 1}}', "the key 'c' twice"), ("[" * 65 + "]" * 65, "nested too deeply"),
        ("[" * 100_000, "nested too deeply"), ('{"a":' * 70 + "1" + "}" * 70, "nested too deeply"),
        ("9" * 5000, "4300 digits"), ('["a", {"b\\ud800": 1}]', "half a letter"), ("{", "property name"), ("", "Expecting value"),
    ],
)  # fmt: skip
def test_it_refuses_the_rest_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(json.JSONDecodeError, match=reason):
        parse_json(text)


def test_what_is_nested_64_deep_is_read() -> None:
    assert parse_json("[" * 64 + "]" * 64) is not None
