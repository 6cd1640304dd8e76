"""Decoded bags within a budget: row groups in memory, in passing and on disk, and damaged ones."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from negsift.common.data.cache_folder import cache_folder
from negsift.common.data.table.bags import TableBags, open_pool
from negsift.common.data.table.decoding_budget import DecodingBudget
from negsift.common.data.table.memory_use import TRANSIENT_GROUPS, streaming_bytes
from negsift.common.data.table.reader import RowGroupReader
from negsift.common.data.table.row_group_stream import RowGroupStream
from negsift.common.errors import BadData, BadInput
from tests.unit.tables import as_table, assert_bags, negatives, random_bags, third_positive, write

COUNT = 90
BAGS, LABELS = random_bags(COUNT, seed=3), third_positive(COUNT)
EXPECTED = negatives(BAGS, LABELS)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NEGSIFT_CACHE", str(tmp_path / "cache"))
    write(tmp_path / "pool", as_table(BAGS, LABELS))
    return tmp_path


@pytest.fixture
def pool(folder: Path) -> TableBags:
    return open_pool(folder / "pool", "bird")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> TableBags:
    return open_pool(write(tmp_path_factory.mktemp("t") / "pool", as_table(BAGS, LABELS)), "bird")


def budget(pool: TableBags, held: int = 0, disk: int = 0) -> DecodingBudget:
    return DecodingBudget(streaming_bytes(pool.row_index) + held, disk)


@pytest.mark.parametrize("held", [0, 3000, 1 << 20])
@pytest.mark.parametrize("disk", [0, 3000, 1 << 20])
@settings(max_examples=8)
@given(index=st.lists(st.integers(0, 59), min_size=1, max_size=20))
def test_bags_are_the_same_whatever_the_budget(shared: TableBags, held: int, disk: int, index: list[int]) -> None:
    batch = RowGroupStream(shared.row_index, range(60), budget(shared, held, disk)).gather(np.sort(np.array(index)))
    np.testing.assert_array_equal(batch.instances, np.concatenate([EXPECTED[place] for place in sorted(index)]))
    assert batch.sizes.tolist() == [len(EXPECTED[place]) for place in sorted(index)]


def scan(feed: RowGroupStream) -> list[torch.Tensor]:
    return [feed.gather(np.arange(start, min(start + 8, 60))).instances for start in range(0, 60, 8)]


def decoded(pool: TableBags, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The row groups that are decoded from now on."""
    seen: list[int] = []
    read, groups = RowGroupReader.read, pool.manifest.groups

    def noting(reader: RowGroupReader, place: tuple[int, int], *more: Any) -> Iterator[pa.Array]:
        seen.append(groups.index(place))
        return read(reader, place, *more)

    monkeypatch.setattr(RowGroupReader, "read", noting)
    return seen


def test_with_room_every_row_group_is_decoded_once(pool: TableBags, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = RowGroupStream(pool.row_index, range(60), budget(pool, 1 << 20))
    seen = decoded(pool, monkeypatch)
    assert all(torch.equal(*pair) for pair in zip(scan(feed), scan(feed), strict=True))
    assert sorted(seen) == list(range(len(pool.manifest.groups)))


def test_without_room_row_groups_pass_by_once_a_scan(pool: TableBags, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = RowGroupStream(pool.row_index, range(60), budget(pool))
    seen = decoded(pool, monkeypatch)
    scan(feed)
    assert seen == list(range(len(pool.manifest.groups)))
    assert len(feed.transient) <= TRANSIENT_GROUPS
    assert not feed.resident


def test_the_next_row_group_is_decoded_before_it_is_asked_for(pool: TableBags) -> None:
    feed = RowGroupStream(pool.row_index, range(60), budget(pool))
    feed.gather(np.array([0]))
    assert feed.transient[1].result().decoded.values.size


def test_nothing_beyond_the_span_is_read_ahead(pool: TableBags) -> None:
    last = int(pool.row_index.starts[1])
    feed = RowGroupStream(pool.row_index, range(last), budget(pool))
    feed.gather(np.array([0]))
    assert list(feed.transient) == [0]


def test_only_row_groups_of_bags_that_are_expected_are_read(pool: TableBags, monkeypatch: pytest.MonkeyPatch) -> None:
    feed = RowGroupStream(pool.row_index, range(60), budget(pool))
    seen, starts = decoded(pool, monkeypatch), pool.row_index.starts.tolist()
    wanted = [range(starts[group], starts[group] + 1) for group in (0, 2, len(starts) - 2)]
    feed.expect(wanted)
    for span in wanted:
        assert_bags([feed.gather(np.array(span)).instances], [negatives(BAGS, LABELS)[span[0]]])
    assert seen == [0, 2, len(starts) - 2]
    feed.expect([])
    assert feed.gather(np.array([starts[1]])).instances.shape[0]
    assert seen == [0, 2, len(starts) - 2, 1]


def test_row_groups_without_a_bag_of_the_pool_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = [["bird"] * (20 <= number < 60) for number in range(COUNT)]
    gappy = open_pool(write(tmp_path / "gappy", as_table(BAGS, labels)), "bird")
    feed = RowGroupStream(gappy.row_index, range(len(gappy)), budget(gappy))
    seen = decoded(gappy, monkeypatch)
    found = [feed.gather(np.array([place])).instances for place in range(len(gappy))]
    assert_bags(found, negatives(BAGS, labels))
    assert seen == [group for group, mask in enumerate(gappy.row_index.masks) if any(mask)]
    assert len(seen) < len(gappy.row_index.masks)


def test_what_is_held_and_passes_by_stays_below_the_budget(pool: TableBags) -> None:
    room = 5000
    feed = RowGroupStream(pool.row_index, range(60), budget(pool, room))
    scan(feed)
    held = sum(
        each.result().decoded.values.nbytes + each.result().decoded.offsets.nbytes + each.result().rows.nbytes
        for each in feed.resident.values()
    )
    assert room / 2 < held <= room


def test_a_budget_too_small_is_reported(pool: TableBags) -> None:
    with pytest.raises(BadInput, match=r"a budget of 1 MiB .* expected at least \d+ MiB.*raise fleet.pool_mb"):
        RowGroupStream(pool.row_index, range(60), DecodingBudget(1 << 20))


def test_decoded_bags_are_found_on_disk_again(pool: TableBags, folder: Path) -> None:
    before = scan(RowGroupStream(pool.row_index, range(60), budget(pool, 0, 1 << 20)))
    for path in (folder / "pool").glob("*.parquet"):
        path.unlink()
    after = scan(RowGroupStream(pool.row_index, range(60), budget(pool, 0, 1 << 20)))
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_a_truncated_cache_file_is_written_again(pool: TableBags) -> None:
    before = scan(RowGroupStream(pool.row_index, range(60), budget(pool, 0, 1 << 20)))
    for path in (cache_folder() / "bags").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    after = scan(RowGroupStream(pool.row_index, range(60), budget(pool, 0, 1 << 20)))
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_the_disk_takes_no_more_than_it_may(pool: TableBags) -> None:
    scan(RowGroupStream(pool.row_index, range(60), budget(pool, 0, 3000)))
    assert 1000 < sum(path.stat().st_size for path in (cache_folder() / "bags").iterdir()) <= 3000


def test_files_unused_for_long_make_room(pool: TableBags) -> None:
    folder = cache_folder() / "bags"
    folder.mkdir(parents=True)
    for name, age_s in (("old", 100_000), ("young", 1000)):
        (folder / name).write_bytes(bytes(2000))
        os.utime(folder / name, (time.time() - age_s,) * 2)
    scan(RowGroupStream(pool.row_index, range(60), budget(pool, 0, 5000)))
    names = {path.name for path in folder.iterdir()}
    assert "old" not in names
    assert "young" in names
    assert len(names) > 2


def test_a_full_disk_does_not_stop_a_scan(
    pool: TableBags, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert len(scan(RowGroupStream(pool.row_index, range(60), budget(pool, 0, 1 << 20)))) == 8
    assert caplog.text.count("decoded bags are no longer kept on disk") == 1


def one_file(folder: Path) -> Path:
    return next((folder / "pool").glob("*.parquet"))


def test_a_changed_byte_is_reported_when_its_row_group_is_read(pool: TableBags, folder: Path) -> None:
    data = bytearray(one_file(folder).read_bytes())
    data[pool.manifest.files[0].groups[2].start + 50] ^= 1
    one_file(folder).write_bytes(data)
    with pytest.raises(
        BadData, match=r"row group 2 of .*parquet changed; expected the content that the manifest lists"
    ):
        scan(RowGroupStream(pool.row_index, range(60), budget(pool)))


def test_a_repaired_file_is_read_by_the_same_feed(pool: TableBags, folder: Path) -> None:
    whole, feed = one_file(folder).read_bytes(), RowGroupStream(pool.row_index, range(60), budget(pool, 1 << 20))
    one_file(folder).write_bytes(whole[:1000])
    with pytest.raises(BadData, match=r"expected [\d,]+ bytes|row group . of .* truncated"):
        scan(feed)
    one_file(folder).write_bytes(whole)
    assert len(scan(feed)) == 8


DAMAGE: dict[str, tuple[Any, str]] = {
    "cut short": (lambda data: data[:-100], r"{} bytes at .*parquet; expected {} bytes, as the manifest lists"),
    "gone": (lambda data: None, r"no file at .*parquet; expected [\d,]+ bytes"),
    "another footer": (
        lambda data: data[:-20] + bytes(20),
        "with another footer; expected the content that the manifest",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_files_unlike_their_manifest_are_reported_on_opening(folder: Path, kind: str) -> None:
    path, (change, message) = one_file(folder), DAMAGE[kind]
    size, data = path.stat().st_size, change(path.read_bytes())
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(BadData, match=message.format(f"{size - 100:,}", f"{size:,}")):
        open_pool(folder / "pool", "bird")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:200], "manifest-000001.json, unreadable"),
        (lambda text: "[]", "manifest-000001.json, unreadable"),
        (lambda text: text.replace("bags/1", "bags/7"), r"unreadable .*bags/7.*; expected a manifest of bags/1"),
        (lambda text: re.sub(r'"shape": \[[^]]*\]', '"shape": [7]', text), r"features float16\[6\]; expected features float16\[7\]"),
    ],
)  # fmt: skip
def test_a_broken_or_foreign_manifest_is_reported(folder: Path, change: Any, message: str) -> None:
    path = folder / "pool" / "manifest-000001.json"
    path.write_text(change(path.read_text()))
    with pytest.raises(BadData, match=message):
        open_pool(folder / "pool", "bird")


def test_a_missing_version_is_reported(pool: TableBags) -> None:
    with pytest.raises(BadData, match="no version 7 of .*; expected one of 1 to 1"):
        pool.at(7)
