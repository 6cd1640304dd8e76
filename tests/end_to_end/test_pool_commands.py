"""`pool build` and `pool inspect` as their users meet them."""

from pathlib import Path

import pytest

from deploy.__main__ import main

CSV = "bag_id,label,x,y\n" + "".join(f"b{bag},{bag % 2},{bag},{bag}\n" for bag in range(40))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "bags.csv").write_text(CSV)
    return tmp_path / "bags.csv"


def test_a_table_is_built_inspected_and_appended_to(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(source.parent / "pool")
    assert main(["pool", "build", out, "--from", str(source), "--set", "dtype=float16"]) == 0
    built = capsys.readouterr().out
    assert "version 1\n40 bags of 40 instances" in built
    assert main(["pool", "inspect", f"file://{out}", "--verify"]) == 0
    assert capsys.readouterr().out == built.replace(out, f"file://{out}") + "every byte is as it was written\n"
    source.write_text(CSV.replace("\nb", "\nc"))
    assert main(["pool", "build", out, "--append", "--from", str(source), "--set", "dtype=float16"]) == 0
    assert "version 2\n80 bags" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("build OUT --from nowhere", "nothing at nowhere; expected a folder or a file; correct --from"),
        ("build OUT --from SOURCE --set dtype=int8", "dtype 'int8'"),
        ("build OUT --from SOURCE --set dtyp=float16", "did you mean 'dtype'"),
        ("inspect OUT", "no bag table at"),
        ("inspect s4://there", "s4://there, which can't be opened"),
        ("build OUT", "arguments that don't fit"),
    ],
)
def test_what_does_not_do_is_told_in_one_line(
    source: Path, words: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {"OUT": str(source.parent / "pool"), "SOURCE": str(source)}
    assert main(["pool", *(known.get(word, word) for word in words.split())]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1


def test_a_changed_byte_is_found_by_verify(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = source.parent / "pool"
    main(["pool", "build", str(out), "--from", str(source)])
    path = next(out.glob("*.parquet"))
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    assert main(["pool", "inspect", str(out), "--verify"]) == 2
    assert "row group 0 of" in capsys.readouterr().err
