"""Rows of a bag in any place: the bags of the sorted source, said in a line; too many to sort are refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from negsift.common.data.table.build import build_table
from negsift.common.data.table.sources import rows_apart
from negsift.common.data.table.sources.rows_apart import Apart, find_apart, put_together
from negsift.common.data.table.sources.shards import DataFile
from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.errors import BadData
from tests.unit.sources import bags

IDS = [str(number % 7) for number in range(20)]
LINE = "the rows of 7 bags stood apart: they were put together, bags in the order of their first rows"


def shuffled(folder: Path, kind: str) -> Path:
    rows = [(id, int(id) % 2, float(place), float(id)) for place, id in enumerate(IDS)]
    if kind == "csv":
        text = "".join(",".join(map(str, row)) + "\n" for row in rows)
        (folder / "rows.csv").write_text("bag_id,label,x,y\n" + text)
        return folder / "rows.csv"
    (folder / "rows").mkdir()
    for start in (0, 9):
        columns = list(zip(*rows[start : start + 9 if start == 0 else None], strict=True))
        table = pa.table(dict(zip(("bag_id", "label", "x", "y"), map(list, columns), strict=True)))
        pq.write_table(table, folder / "rows" / f"{start}.parquet", row_group_size=4)
    return folder / "rows"


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_rows_of_a_bag_are_put_together_wherever_they_are(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = shuffled(tmp_path, kind)
    build_table(tmp_path / "table", source, BuildConfig())
    expected = [[[float(place), float(id)] for place in range(20) if IDS[place] == id] for id in IDS[:7]]
    assert [bag["bag_id"] for bag in bags(tmp_path / "table")] == IDS[:7]
    assert [bag["features"] for bag in bags(tmp_path / "table")] == expected
    assert LINE in caplog.messages


def test_more_than_fits_in_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_apart, "MOST_BYTES", 159)
    with pytest.raises(BadData, match=r"the rows of 7 bags apart in .*rows.csv, 160 bytes.*; sort the rows by bag"):
        build_table(tmp_path / "table", shuffled(tmp_path, "csv"), BuildConfig())
    assert not (tmp_path / "table").exists()


@given(data=st.data())
def test_any_order_in_any_batches_gives_whole_bags_in_pieces(data: Any) -> None:
    ids = data.draw(st.lists(st.sampled_from("abcde"), min_size=1, max_size=30))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(ids)))) - {len(ids)})
    feats_MD = np.arange(2 * len(ids), dtype=np.float32).reshape(-1, 2)
    table, edges = pa.table({"bag_id": ids}), list(zip([0, *cuts], [*cuts, len(ids)], strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows_apart, "_PIECE_BYTES", 8 * data.draw(st.integers(1, 40)))
        batches = ((table.slice(low, high - low), feats_MD[low:high]) for low, high in edges)
        pieces = list(put_together(batches, len(ids)))
    names = [name for piece, _ in pieces for name in piece["bag_id"].to_pylist()]
    order = sorted(range(len(ids)), key=lambda row: (ids.index(ids[row]), row))
    assert names == [ids[row] for row in order]
    assert np.concatenate([feats for _, feats in pieces]).tolist() == feats_MD[order].tolist()
    of_pieces = [set(piece["bag_id"].to_pylist()) for piece, _ in pieces]
    assert sum(map(len, of_pieces)) == len(set(ids))


@pytest.mark.parametrize(("ids", "apart"), [("aabbb", 0), ("aba", 1), ("ab|ba", 1), ("ab|bc", 0), ("abab|c", 2)])
def test_bags_apart_are_counted_over_files(ids: str, apart: int, tmp_path: Path) -> None:
    files = list[DataFile]()
    for number, names in enumerate(ids.split("|")):
        path = tmp_path / f"{number}.parquet"
        pq.write_table(pa.table({"bag_id": list(names), "label": [1] * len(names)}), path, row_group_size=2)
        files.append(DataFile(path, str(number), None))
    assert find_apart(files, BuildConfig()) == Apart(len(ids.replace("|", "")), apart)
