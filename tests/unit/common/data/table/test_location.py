"""URIs of stores that may not answer, and files in place of a table's folder."""

import re
from pathlib import Path

import pytest

from negsift.common.data.table.location import Location, _impatient
from negsift.common.data.table.manifest import read_manifest
from negsift.common.errors import BadData


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


def test_a_file_is_no_bag_table(tmp_path: Path) -> None:
    path = tmp_path / "bags.csv"
    path.write_text("bag_id,label,x\n")
    message = f"found the file {path}; expected the folder of a bag table; name another, or make one with `pool build`"
    with pytest.raises(BadData, match=re.escape(message)):
        read_manifest(Location.of(path))


def test_a_path_that_is_not_utf_8_is_refused_before_it_is_opened() -> None:
    with pytest.raises(BadData, match=r"a path that is not UTF-8, pools/b\\udcffrd"):
        Location.of("pools/b\udcffrd")
