"""Committed results: their pages say what the trials say, whose files are committed, too."""

import re
import tarfile
from pathlib import Path

import pytest

from negsift.deploy.studies import STUDIES, study_named
from negsift.trainer.report import results_markdown
from negsift.trainer.results.sweep import read_results
from negsift.trainer.results.trials import runs_of
from tests.unit.pages import PAGES, ROOT

SWEEPS = ROOT / "tests" / "bench" / "sweeps"
PAGES_OF_RESULTS = sorted(path.stem for path in SWEEPS.glob("*.md") if (SWEEPS / f"{path.stem}.tar.gz").exists())
QUOTED = re.compile(r"<!-- from (\S+) -->\n(.*?)\n<!-- end -->", re.DOTALL)


@pytest.mark.parametrize("study", PAGES_OF_RESULTS)
def test_a_page_of_results_is_what_the_trials_say(study: str, tmp_path: Path) -> None:
    with tarfile.open(SWEEPS / f"{study}.tar.gz") as packed:
        packed.extractall(tmp_path, filter="data")
    results = read_results(tmp_path / study)
    outcome = study_named(study).outcome(runs_of(results.trials)) if study in STUDIES else None
    assert (SWEEPS / f"{study}.md").read_text().endswith(f"\n\n{results_markdown(results, outcome)}")
    assert set(results.states()) == {"finished"}


def test_pages_quote_results_word_for_word() -> None:
    quoted = [(ROOT / source, text) for page in PAGES for source, text in QUOTED.findall(page.read_text())]
    assert quoted
    for source, text in quoted:
        assert f"\n{text.strip()}\n" in source.read_text()
