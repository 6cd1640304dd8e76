"""`pool build` and `pool inspect` as their users meet them."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from negsift.deploy.main import main
from tests.unit.clips import clip_id, write_folder

CSV = "bag_id,label,x,y\n" + "".join(f"b{bag},{bag % 2},{bag},{bag}\n" for bag in range(40))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "bags.csv").write_text(CSV)
    return tmp_path / "bags.csv"


def test_a_table_is_built_inspected_and_appended_to(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(source.parent / "pool")
    assert main(["pool", "build", out, "--from", str(source), "dtype=float16"]) == 0
    built = capsys.readouterr().out
    assert "version 1\n40 bags of 40 instances" in built
    assert main(["pool", "inspect", f"file://{out}", "--verify"]) == 0
    assert capsys.readouterr().out == built.replace(out, f"file://{out}") + "every byte is as it was written\n"
    source.write_text(CSV.replace("\nb", "\nc"))
    assert main(["pool", "build", out, "--append", "--from", str(source), "dtype=float16"]) == 0
    assert "version 2\n80 bags" in capsys.readouterr().out


def test_a_run_continues_with_the_table_version_it_began_with(source: Path) -> None:
    pool, out, again, larger = (str(source.parent / name) for name in ("pool", "run", "again", "larger"))
    words = ["train", "table", f"data.root={pool}", "data.target=1", "training.epochs=3"]
    words += ["data.val_share=0.2", "strategy.name=badge", "sampling.ratio=3"]
    assert main(["pool", "build", pool, "--from", str(source)]) == 0
    assert main([*words, "--out", out]) == 0
    picked = picks(out)
    assert all(int(name[1:]) % 2 == 0 for table in picked for name in table["bag_id"].to_pylist())
    source.write_text(CSV.replace("\nb", "\nc"))
    assert main(["pool", "build", pool, "--append", "--from", str(source)]) == 0
    shutil.copytree(out, again)
    for name in ("summary.json", "metrics.jsonl", "checkpoint/last.pt", "selections/epoch=0002.parquet"):
        (Path(again) / name).unlink()
    assert main([*words, "fleet.shards=3", "--out", again]) == 0
    assert picks(again) == picked
    assert main([*words, "--out", larger]) == 0
    assert picks(larger) != picked


def test_a_table_of_images_has_a_model_of_its_own_and_pictures_in_the_report(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    random = np.random.default_rng(0)
    for name in ("bird", "cat"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(60):
            pixels = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    pool, out = str(tmp_path / "pool"), tmp_path / "run"
    build = ["--from", str(tmp_path / "photos"), "bag_size=2", "image_size=16"]
    assert main(["pool", "build", pool, *build]) == 0
    words = ["strategy.name=margin", "training.epochs=2", "data.val_share=0.3", "sampling.ratio=9"]
    assert main(["train", "table", f"data.root={pool}", "data.target=cat", *words, "--out", str(out)]) == 0
    assert f"model.name=simple_cnn, the usual one of the bags in {pool}" in caplog.messages
    assert '"simple_cnn"' in (out / "config.json").read_text()
    assert (out / "report.html").read_text().count("data:image/png;base64") >= 2


def picks(run: str) -> list[pa.Table]:
    return [pq.read_table(path).drop_columns(["margin"]) for path in sorted(Path(run).glob("selections/*.parquet"))]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("build OUT --from nowhere", "no file at nowhere; expected a folder or a file; correct --from"),
        ("build OUT --from SOURCE dtype=int8", "dtype 'int8'"),
        ("build OUT --from SOURCE --set mels=2", "4 mel bands, 1 frame or more; correct it"),
        ("build OUT --from SOURCE --set kind=audio", "no clip of bags.csv (40 listed, such as b0) below"),
        ("build OUT dtyp=float16 --from SOURCE", "did you mean 'dtype'"),
        ("inspect OUT", "no bag table at"),
        ("inspect s4://there", "s4://there, which can't be opened"),
        ("build OUT", "arguments that don't fit"),
        ("build OUT --from SOURCE --workers 0", "found --workers 0; expected 1 or more"),
        ("build OUT --from NONE", "(argument --from: an empty path)"),
        ("build OUT --from SOURCE --config NONE", "(argument --config: an empty path)"),
        ("build NONE --from SOURCE", "found an empty path; expected a folder, or a URI"),
        ("inspect NONE", "found an empty path; expected a folder, or a URI"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(
    source: Path, words: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {"OUT": str(source.parent / "pool"), "SOURCE": str(source), "NONE": ""}
    assert main(["pool", *(known.get(word, word) for word in words.split())]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_table_of_clips_is_built_and_inspected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_folder(tmp_path / "audioset", 12, 4)
    (source / "train" / f"{clip_id(5)}.flac").write_bytes(b"")
    small = ["seconds=1", "mels=32", "frames=128"]
    assert main(["pool", "build", str(tmp_path / "t"), "--from", str(source), *small]) == 0
    built = capsys.readouterr().out
    assert (
        "15 bags of 15 instances (1 to 1 a bag, median 1)\npayload audio float16[128, 32] of 1 s at 16,000 Hz" in built
    )
    assert "splits: test 4, train 11" in built
    assert f"left out when it was built: 1\n  {clip_id(5)} ({clip_id(5)}.flac): an empty file\n" in built
    assert main(["pool", "inspect", str(tmp_path / "t"), "--verify"]) == 0
    assert capsys.readouterr().out == built + "every byte is as it was written\n"
    assert main(["pool", "build", str(tmp_path / "t"), "--append", "--from", str(source), *small[:-1]]) == 2
    assert "audio float16[1056, 32] of 1 s" in capsys.readouterr().err


def test_inspect_shows_the_first_bags(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "pool")
    source.write_text(
        "bag_id,label,split,x,y\na,cat;dog,train,1.5,2\na,cat;dog,train,-3,4\nb,[],val,5,6\nc,,test,7,8\nd,[],,9,9\n"
    )
    main(["pool", "build", out, "--from", str(source)])
    shown = capsys.readouterr().out.partition("the first bags:\n")[2].splitlines()
    assert shown == [
        "  a (train; cat, dog): 2 x 2, from -3 to 4, 1.5 2 -3 4",
        "  b (val; no label): 1 x 2, from 5 to 6, 5 6",
        "  c (test; unlabeled): 1 x 2, from 7 to 8, 7 8",
    ]
    assert main(["pool", "inspect", out, "--picture", str(tmp_path / "x.png")]) == 2
    assert "--picture of bags of features; expected images or clips" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["images", "views", "clips"])
def test_inspect_draws_the_first_bags(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if kind == "clips":
        source, words = write_folder(tmp_path / "audioset", 3, 1), ["seconds=1", "mels=32", "frames=128"]
    else:
        source, words = tmp_path / "photos", ["bag_size=2", "image_size=8", f"views={2 * (kind == 'views')}"]
        for number in range(6):
            (source / "cat").mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (number, 200, 0)).save(source / "cat" / f"{number}.png")
    assert main(["pool", "build", str(tmp_path / "t"), "--from", str(source), *words]) == 0
    assert main(["pool", "inspect", str(tmp_path / "t"), "--picture", str(tmp_path / "x.png")]) == 0
    with Image.open(tmp_path / "x.png") as drawn:
        assert drawn.size == {"images": (192, 288), "views": (96, 576), "clips": (128, 128)}[kind]
        assert drawn.getpixel((5, 5))[1] == 200 or kind == "clips"  # type: ignore[index]  # an RGB image
    assert main(["pool", "inspect", str(tmp_path / "t"), "--picture", str(tmp_path / "x.jpg")]) == 2
    assert "x.jpg; expected a file that ends in .png" in capsys.readouterr().err
    assert main(["pool", "inspect", str(tmp_path / "t"), "--picture", str(tmp_path / "no" / "x.png")]) == 2
    assert "no/x.png, which can't be written (No such file or directory); expected" in capsys.readouterr().err


def test_a_dry_run_says_what_would_be_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bags").mkdir()
    for number in range(3):
        np.save(tmp_path / "bags" / f"s{number}.npy", np.full((2, 3), number))
    (tmp_path / "bags" / "labels.csv").write_text("bag_id,label\ns0,cat\ns1,[]\ns9,cat\n")
    assert main(["pool", "build", str(tmp_path / "t"), "--from", str(tmp_path / "bags"), "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path / 'bags'}: arrays, of which nothing is written",
        "bags of features float32[3], read from 3 files",
        "left out before any is read: 1",
        "  s9: no file, but a row of labels.csv",
        "the first bags:",
        "  s0 (no split; cat): 2 x 3, from 0 to 0, 0 0 0 0 ...",
        "  s1 (no split; no label): 2 x 3, from 1 to 1, 1 1 1 1 ...",
        "  s2 (no split; unlabeled): 2 x 3, from 2 to 2, 2 2 2 2 ...",
    ]
    assert not (tmp_path / "t").exists()


def test_a_changed_byte_is_found_by_verify(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = source.parent / "pool"
    main(["pool", "build", str(out), "--from", str(source)])
    path = next(out.glob("*.parquet"))
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    assert main(["pool", "inspect", str(out), "--verify"]) == 2
    assert "row group 0 of" in capsys.readouterr().err


def test_ctrl_c_in_a_build_says_what_is_left(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("negsift.common.data.table.build.open_source", interrupted)
    out = str(source.parent / "pool")
    assert main(["pool", "build", out, "--from", str(source)]) == 130
    assert f"negsift: interrupted; nothing of the table is left in {out}\n" in capsys.readouterr().err


def test_bags_that_can_not_be_augmented_are_refused_before_the_run_has_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f"{n},{('cat', 'dog')[n % 2]},{n},1\n" for n in range(40))
    (tmp_path / "features.csv").write_text("bag_id,label,a,b\n" + rows)
    assert main(["pool", "build", str(tmp_path / "t"), "--from", str(tmp_path / "features.csv")]) == 0
    settings = [f"data.root={tmp_path / 't'}", "data.target=cat", "augment.flip=true"]
    assert main(["train", "table", *settings, "--out", str(tmp_path / "run")]) == 2
    assert "augment.flip or .shift of bags that are not images" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
