"""URIs of stores that may not answer."""

import pytest

from negsift.common.data.table.location import _impatient


@pytest.mark.parametrize(
    ("uri", "asked"),
    [
        ("gs://a/b", "gs://a/b?retry_limit_seconds=30"), ("gs://a/b?scheme=http", "gs://a/b?scheme=http&retry_limit_seconds=30"),
        ("gcs://a/b", "gcs://a/b?retry_limit_seconds=30"), ("gs://a/b?retry_limit_seconds=9", "gs://a/b?retry_limit_seconds=9"),
        ("s3://a/b", "s3://a/b"), ("file:///a", "file:///a"),
    ],
)  # fmt: skip
def test_googles_storage_is_tried_for_half_a_minute_unless_told_otherwise(uri: str, asked: str) -> None:
    assert _impatient(uri) == asked
