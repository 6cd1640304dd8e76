"""Messages as they are printed: one line, never longer than it may be, with the names that matter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from negsift.common.errors import BadInput
from negsift.deploy.main import main
from negsift.deploy.one_line import MOST, one_line, readable

PATH = "/data/pools/birds/part-000001.parquet"


@given(text=st.text(st.characters(), max_size=900), most=st.integers(30, 300))
def test_any_message_is_one_printable_line_within_the_limit(text: str, most: int) -> None:
    line = one_line(text, most)
    assert len(line) <= most
    assert line.isprintable()


@given(text=st.text("abc ;,()/", max_size=280))
def test_a_short_message_stays_as_it_is(text: str) -> None:
    assert one_line(text) == " ".join(text.split())


@pytest.mark.parametrize("found", [f"{PATH} unreadable ({'x' * 15_000})", f"columns {'x, ' * 5000} in {PATH}"])
def test_a_flood_is_cut_in_its_middle_and_the_path_is_kept(found: str) -> None:
    line = one_line(BadInput(found, "a parquet file", "repair it"))
    assert MOST - 80 <= len(line) <= MOST
    assert PATH in line
    assert line.endswith("; expected a parquet file; repair it")


@pytest.mark.parametrize("count", range(40, 60))
def test_no_word_and_no_name_of_a_folder_is_cut(count: int) -> None:
    words = [f"column-{number}" for number in range(count)]
    line = one_line(f"found {' '.join(words)}; expected another")
    assert {*line.split(";")[0].replace("…", " ").split()} <= {"found", *words}
    folders = [f"folder-{number}" for number in range(count)]
    line = one_line(f"no /{'/'.join(folders)}/file.csv; expected one")
    assert {*line.split(";")[0].replace("…", "/").split("/")} <= {"no ", "", *folders, "file.csv"}


def test_memory_that_torch_lacks_is_bad_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lack(words: list[str]) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr("negsift.deploy.commands.run_command", lack)
    assert main(["list"]) == 2
    assert "found too little memory (DefaultCPUAllocator: can't allocate memory" in capsys.readouterr().err


def test_each_line_of_a_page_is_cut_and_printable() -> None:
    text = readable(f"bags: 3\n  id {'x' * 1_000_000}\n  label a\x1b[2Jb\tc")
    first, second, third = text.split("\n")
    assert (first, third) == ("bags: 3", "  label a\\x1b[2Jb\\tc")
    assert (len(second), second[:6], second[-3:]) == (300, "  id x", "xxx")
