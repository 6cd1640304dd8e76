"""The examples of `docs/examples/`: each trains a network in the loop of a library, and it is better afterwards."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[2] / "docs/examples").glob("*.py"))
NEEDS = {
    "own_loop": (), "lightning_loop": ("lightning",), "huggingface_trainer": ("datasets", "transformers", "accelerate"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # the libraries advise, and their own code is warned about
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_an_example_ends_with_a_better_network(example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for library in NEEDS[example.stem]:
        pytest.importorskip(library)
    monkeypatch.chdir(tmp_path)
    names = runpy.run_path(str(example), run_name=example.stem)
    assert names["validate"]() > 0.8 > 0.5 > names["before"]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_an_example_is_short_and_in_cells(example: Path) -> None:
    lines = example.read_text().splitlines()
    assert len(lines) < 60
    assert lines[0] == "# %% [markdown]"
    assert 'strategy="badge"' in example.read_text()
