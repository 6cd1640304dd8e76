"""AudioSet's lists and the names of clips in every known form; errors in other forms."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from negsift.common.data.audioset.clip_files import ClipFile, find_file, index_folder, read_name
from negsift.common.data.audioset.read_clip_lists import read_clip_lists
from negsift.common.data.audioset.segments import Segment, read_segments
from negsift.common.errors import BadData
from tests.unit.clips import clip_id, encoded_clip, tags_of, write_folder, write_list, write_parquet

IDS = st.text("abYZ019-_", min_size=11, max_size=11)
STARTS = st.integers(0, 600)
FORMS = (
    "{id}", "Y{id}", "Y{id}_{start:.3f}_{end:.3f}", "{id}_{start:.3f}_{end:.3f}", "{id}_{ms}_{end_ms}", "{id}_{ms}",
    "Y{id}_{ms}", "{id}_{start}-{end}", "{id}_{start}", "{id}_{start:06d}", "{id}_{start:.3f}", "{id}_{start}_{end}",
    "{id}_{start:.3f}-{end:.3f}", "Y{id}_{start:06d}",
)  # fmt: skip
SEGMENT = Segment("--PJHxphWEs", 30.0, ("/m/09x0r", "/t/dd00088"))
LINES = {
    "AudioSet's own": '# Segments csv created\n# num_ytids=1\n# YTID, start_seconds\n--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"\n',
    "without comments": '--PJHxphWEs, 30.000, 40.000, "/m/09x0r,/t/dd00088"\n',
    "with a heading": 'YTID,start_seconds,end_seconds,positive_labels\n--PJHxphWEs,30.000,40.000,"/m/09x0r,/t/dd00088"\n',
    "tabs": "--PJHxphWEs\t30.000\t40.000\t/m/09x0r,/t/dd00088\n",
    "semicolons": "--PJHxphWEs;30;40;/m/09x0r,/t/dd00088\n",
    "labels not quoted": "--PJHxphWEs, 30.000, 40.000, /m/09x0r,/t/dd00088\n",
    "Windows": '\ufeff# x\r\n--PJHxphWEs, 30.000, 40.000, "/t/dd00088,/m/09x0r"\r\n\r\n',
}


def name(form: str, id: str, start: int) -> str:
    times: dict[str, int] = {"start": start, "end": start + 10, "ms": start * 1000, "end_ms": (start + 10) * 1000}
    return form.format(id=id, **times)


@pytest.mark.parametrize("text", LINES.values(), ids=LINES)
def test_lists_are_read_in_every_form(text: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(text.encode())
    assert read_segments(tmp_path / "list.csv") == [SEGMENT]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "without a segment"),
        ("# YTID, start_seconds, end_seconds, positive_labels\n", "without a segment"),
        ("--PJHxphWEs 30.000 40.000 /m/09x0r\n", "line 1: '--PJHxphWEs 30.000"),
        ("abcdefghijk, 0, 10, /m/a\nabcdefghijl, x, 10, /m/a\nabcdefghijm, 0, 10, /m/a\n", "line 2: 'abcdefghijl, x"),
        ("abcdefghijk, 0, 10, /m/a\nabcdefghijk, 0.0, 10, /m/b\n", "abcdefghijk_0 a second time.*line 2"),
        ("\xff\xfe", "unreadable"),
        ('abcdefghijk, 0, 10, /m/a\nabcdefghijl, 0, 10, "' + "/m/a," * 40_000 + '"', "line 2: 'abcdefghijl"),
        ("abcdefghijk, inf, 10, /m/a\n", "line 1: 'abcdefghijk, inf"),
        (
            "abcdefghijk, 0, 10, /m/a\nabcdefghijl, nan, 10, /m/a\nabcdefghijm, 0, 10, /m/a\n",
            "line 2: 'abcdefghijl, nan",
        ),
    ],
)
def test_other_lists_are_reported_with_the_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(BadData, match=message):
        read_segments(tmp_path / "list.csv")


@given(IDS, STARTS, st.sampled_from(FORMS), st.sampled_from([".wav", ".FLAC", ".ogg", ".opus", ".mp3"]))
def test_a_clip_is_found_by_id_and_start_whatever_the_id(id: str, start: int, form: str, ending: str) -> None:
    stem = name(form, id, start)
    files: dict[str, list[ClipFile]] = {}
    for read, number in read_name(stem):
        files.setdefault(read, []).append(ClipFile(Path("folder") / (stem + ending), number))
    assert find_file(Segment(id, float(start), ()), files) == (Path("folder") / (stem + ending), "")
    later = find_file(Segment(id, start + 700.0, ()), files)[0]
    assert (later is None) == (form not in ("{id}", "Y{id}"))


@given(IDS, st.text("abY019-_.", min_size=1, max_size=9))
def test_a_longer_name_is_another_clips(id: str, more: str) -> None:
    assert all(read in (id + "x" + more)[: len(id) + 1 + len(more)] for read, _ in read_name(id + "x" + more))
    assert id not in dict(read_name(id + "x" + more))


@pytest.mark.parametrize("form", FORMS)
def test_a_segment_is_found_under_any_name_and_depth(form: str, tmp_path: Path) -> None:
    (tmp_path / "a" / "Speech").mkdir(parents=True)
    path = tmp_path / "a" / "Speech" / f"{name(form, SEGMENT.id, 30)}.flac"
    path.touch()
    (tmp_path / "notes.txt").touch()
    assert find_file(SEGMENT, index_folder(tmp_path)) == (path, "")


def test_of_several_segments_of_a_video_the_start_decides(tmp_path: Path) -> None:
    for start in (0, 20, 30):
        (tmp_path / f"{SEGMENT.id}_{start * 1000}.wav").touch()
    assert find_file(SEGMENT, index_folder(tmp_path)) == (tmp_path / f"{SEGMENT.id}_30000.wav", "")


def test_another_segment_of_the_video_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / f"{SEGMENT.id}_20000.wav").touch()
    found, remark = find_file(SEGMENT, index_folder(tmp_path))
    assert (found, remark) == (None, f"only {SEGMENT.id}_20000.wav, another segment")


def test_one_of_two_files_for_an_id_is_used_and_reported(tmp_path: Path) -> None:
    for ending in (".m4a", ".mp3", ".flac"):
        (tmp_path / f"{SEGMENT.id}{ending}").touch()
    found, remark = find_file(SEGMENT, index_folder(tmp_path))
    assert (found, remark) == (tmp_path / f"{SEGMENT.id}.flac", f"{SEGMENT.id}.flac used, {SEGMENT.id}.mp3 ignored")


def test_a_file_named_by_a_listed_id_is_that_clips_alone(tmp_path: Path) -> None:
    for stem in ("dog_barking_0012", "dog_barking_0013"):
        (tmp_path / f"{stem}.wav").touch()
    files, listed = index_folder(tmp_path), {"dog_barking", "dog_barking_0012"}
    assert find_file(Segment("dog_barking_0012", 0.0, ()), files, listed)[0] == tmp_path / "dog_barking_0012.wav"
    assert find_file(Segment("dog_barking", 12.0, ()), files, listed) == (
        None,
        "only dog_barking_0013.wav, another segment",
    )
    assert find_file(Segment("dog_barking", 13.0, ()), files, listed)[0] == tmp_path / "dog_barking_0013.wav"


def test_an_exact_name_comes_before_one_with_a_start(tmp_path: Path) -> None:
    for stem in (SEGMENT.id, f"{SEGMENT.id}_30000"):
        (tmp_path / f"{stem}.wav").touch()
    found, remark = find_file(SEGMENT, index_folder(tmp_path))
    assert (found, remark) == (tmp_path / f"{SEGMENT.id}.wav", f"{SEGMENT.id}.wav used, {SEGMENT.id}_30000.wav ignored")


OWN = ["airport{}_{:04}", "dog_barkin{}_{:04}", "unit01{}clip_{:04}", "unit{}_{}-2", "take.{}.v{}", "{}_{}_{:.0f}_7"]


@pytest.mark.parametrize("form", OWN)
def test_own_ids_of_any_form_are_found(form: str, tmp_path: Path) -> None:
    ids = [form.format(part, number, number) for part in "ab" for number in range(4)]
    for number, id in enumerate(ids):
        (tmp_path / f"{id}.flac").write_bytes(encoded_clip(number))
    for part, name in (("a", "balanced_train"), ("b", "eval")):
        lines = [f'{id}, 0.000, 10.000, "dog"' for id in ids if id in [form.format(part, n, n) for n in range(4)]]
        (tmp_path / f"{name}_segments.csv").write_text("\n".join(lines))
    train, test = read_clip_lists(tmp_path, "balanced")
    assert [*train.ids, *test.ids] == ids


@pytest.mark.parametrize("id", ["clip 1", "Yes", "a-much-longer-id_0001"])
def test_an_id_of_another_length_is_the_whole_name(tmp_path: Path, id: str) -> None:
    (tmp_path / f"{id}.flac").touch()
    assert find_file(Segment(id, 0.0, ()), index_folder(tmp_path)) == (tmp_path / f"{id}.flac", "")


def test_ids_that_differ_in_case_are_two(tmp_path: Path) -> None:
    (tmp_path / f"{SEGMENT.id.lower()}.wav").touch()
    assert find_file(SEGMENT, index_folder(tmp_path)) == (None, "no file")


def test_missing_clips_are_listed(tmp_path: Path) -> None:
    write_folder(tmp_path)
    for number in (3, 8):
        (tmp_path / "train" / f"{clip_id(number)}.flac").unlink()
    train, test = read_clip_lists(tmp_path, "balanced")
    assert [(segment.id, remark) for segment, remark in train.missing] == [(clip_id(n), "no file") for n in (3, 8)]
    assert (len(train.segments), len(test.segments), test.missing) == (38, 20, ())


def test_clips_with_more_than_one_file_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_folder(tmp_path)
    for number in (3, 8):
        (tmp_path / "eval" / f"Y{clip_id(number)}.wav").touch()
    train, _ = read_clip_lists(tmp_path, "balanced")
    assert len(train.segments) == 40
    assert "2 clips with more than one file (" in caplog.text


def test_the_unbalanced_list_is_read_on_request(tmp_path: Path) -> None:
    write_folder(tmp_path)
    write_list(tmp_path / "unbalanced_train_segments.csv", range(10))
    assert len(read_clip_lists(tmp_path, "unbalanced")[0].segments) == 10


def test_parquet_holds_the_same_clips(tmp_path: Path) -> None:
    for listed, stored in zip(
        read_clip_lists(write_folder(tmp_path / "csv"), "balanced"),
        read_clip_lists(write_parquet(tmp_path / "parquet"), "balanced"), strict=True,
    ):  # fmt: skip
        assert dict(zip(listed.ids, (s.tags for s in listed.segments), strict=True)) == dict(
            zip(stored.ids, (s.tags for s in stored.segments), strict=True)
        )
    assert stored.names["/m/high"] == "High tone, beep"


def test_parquet_files_may_be_named_instead_of_their_folders(tmp_path: Path) -> None:
    write_parquet(tmp_path)
    for folder, stem in (("bal_train", "train"), ("eval", "test")):
        for path in sorted((tmp_path / folder).iterdir()):
            path.rename(tmp_path / f"{stem}-{path.name}")
    assert [len(listing.segments) for listing in read_clip_lists(tmp_path, "balanced")] == [40, 20]


@pytest.mark.parametrize("tags", ["/m/low;/m/high", "/m/low|/m/high", "/m/high,'/m/low'"])
def test_tags_divided_by_other_marks_are_refused(tags: str, tmp_path: Path) -> None:
    """Else a clip that carries the target would be a negative."""
    (tmp_path / "x.csv").write_text(f'{clip_id(0)}, 0, 10, "/m/low"\n{clip_id(1)}, 0, 10, "{tags}"')
    with pytest.raises(BadData, match=r"the tag .* in .*x\.csv, which holds the tag '/m/low'"):
        read_segments(tmp_path / "x.csv")


@pytest.mark.parametrize(
    ("line", "found"), [("{id}, 1e308, 10, a", "line 2"), ("{id}, 0.0001, 10, a", "a second time")]
)
def test_starts_are_numbers_of_milliseconds(line: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(f"{clip_id(0)}, 0.0, 10, a\n{line.format(id=clip_id(0))}\n{clip_id(1)}, 0, 1, a")
    with pytest.raises(BadData, match=found):
        read_segments(tmp_path / "x.csv")


def test_segments_of_one_video_differ_by_their_start(tmp_path: Path) -> None:
    lines = [f'{clip_id(0)}, {start}, {start + 10}, "/m/low"' for start in (0, 10)]
    (tmp_path / "balanced_train_segments.csv").write_text("\n".join(lines))
    (tmp_path / "eval_segments.csv").write_text(lines[0].replace(clip_id(0), clip_id(1)))
    for name in (f"{clip_id(0)}_0", f"{clip_id(0)}_10000", f"{clip_id(1)}_0"):
        (tmp_path / f"Y{name}.flac").write_bytes(encoded_clip(0))
    assert read_clip_lists(tmp_path, "balanced")[0].ids == [f"{clip_id(0)}_0", f"{clip_id(0)}_10000"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"video_id": ["a"], "labels": [["/m/a"]]},
            "columns video_id: string, labels.*expected video_id: string, audio",
        ),
        ({"id": ["a"], "audio": [{"bytes": b""}], "labels": [["/m/a"]]}, "columns id"),
        ({"video_id": ["a"], "audio": [{"path": ""}], "labels": [["/m/a"]]}, "columns video_id.*audio {bytes: binary}"),
        ({"video_id": [1], "audio": [{"bytes": b""}], "labels": [["/m/a"]]}, "columns video_id: int64"),
        ({"video_id": ["a"], "audio": [{"bytes": "text"}], "labels": [["/m/a"]]}, "struct<bytes: string>"),
        ({"video_id": ["a"], "audio": [{"bytes": b""}], "labels": [[3]]}, "labels: list<element: int64>"),
        ({"video_id": ["a", None], "audio": [{"bytes": b""}] * 2, "labels": [["/m/a"]] * 2}, "no video_id in row 1"),
        ({"video_id": ["a", "a"], "audio": [{"bytes": b""}] * 2, "labels": [["/m/a"]] * 2}, "a repeated id"),
    ],
)
def test_parquet_of_another_form_is_reported(columns: dict[str, list[object]], message: str, tmp_path: Path) -> None:
    for stem in ("train", "test"):
        pq.write_table(pa.table(columns), tmp_path / f"{stem}.parquet")
    with pytest.raises(BadData, match=message):
        read_clip_lists(tmp_path, "balanced")


def test_rows_without_labels_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    columns = {"video_id": ["a", "b", "c"], "audio": [{"bytes": b""}] * 3, "labels": [["/m/a", None], None, []]}
    named = pa.table(columns | {"human_labels": [["Ape", None], None, None]})
    large = named.set_column(2, "labels", named["labels"].cast(pa.large_list(pa.large_string())))
    pq.write_table(large, tmp_path / "train.parquet")
    pq.write_table(large.set_column(0, "video_id", pa.array(["x", "y", "z"])), tmp_path / "test.parquet")
    train, _ = read_clip_lists(tmp_path, "balanced")
    assert [(segment.id, segment.tags) for segment in train.segments] == [("a", ("/m/a",)), ("c", ())]
    assert ([recording.row for recording in train.recordings], train.names) == ([0, 2], {"/m/a": "Ape"})
    assert f"1 clips in {tmp_path} have no labels" in caplog.text


def test_a_broken_parquet_file_is_reported(tmp_path: Path) -> None:
    for stem in ("train", "test"):
        (tmp_path / f"{stem}.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(BadData, match=r"train\.parquet unreadable"):
        read_clip_lists(tmp_path, "balanced")


def test_a_folder_with_no_clip_of_the_list_is_reported(tmp_path: Path) -> None:
    write_list(tmp_path / "balanced_train_segments.csv", range(5))
    write_list(tmp_path / "eval_segments.csv", range(5))
    (tmp_path / "unrelated.wav").touch()
    with pytest.raises(
        BadData,
        match=r"no clip of balanced_train_segments.csv \(5 listed, such as .*below .*, but unrelated.wav; .*ID_000030.wav",
    ):
        read_clip_lists(tmp_path, "balanced")


def test_an_empty_and_a_missing_folder_are_reported(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="neither balanced_train_segments.csv and eval_segments.csv nor"):
        read_clip_lists(tmp_path, "balanced")
    with pytest.raises(BadData, match="no folder"):
        read_clip_lists(tmp_path / "absent", "balanced")


def test_tags_are_those_of_the_list(tmp_path: Path) -> None:
    train, _ = read_clip_lists(write_folder(tmp_path), "balanced")
    assert [segment.tags for segment in train.segments] == [tuple(sorted(tags_of(number))) for number in range(40)]
