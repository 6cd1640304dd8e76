"""README and docs: their blocks run, their commands are understood, and what they name exists."""

import importlib.util
import itertools
import re
import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import negsift
from negsift.common.account import Account
from negsift.common.overrides import keys, override
from negsift.deploy.commands import parser
from negsift.deploy.recipes import recipe
from negsift.deploy.run_config import RunConfig
from negsift.deploy.studies import study_named
from negsift.deploy.sweep.grid import parse_axes
from negsift.service.monitoring.catalogue import METRICS
from negsift.service.serving.protocol import RoundSpec, TaskSpec
from tests.cluster import runbook
from tests.unit.pages import NAMES, PAGES, ROOT, Block, anchors, blocks, first_words, links, prose, spans, table

DOCS = ROOT / "docs"
MARKS = {"", "needs a service", "after the steps above", "needs a cloud or Kubernetes", "needs Docker"}
"""Blocks that need a service are run by tests/cluster/test_serve.py; those that need more than this machine nowhere."""
STEPS = {"service/strategies/near_level.py", "common/data/stripes.py"}
"""Files that a reader of docs/extending.md writes."""
OTHERS = {"pip", "git", "ray", "export", "docker", "kubectl", "sbatch"}
SETTING = re.compile(r"[a-z_][a-z_0-9.]*=.*")
KEY = re.compile(r"(?:data|model|strategy|sampling|training|augment|fleet|log)\.[a-z_0-9.]+(?:=\S+)?")
every_page = pytest.mark.parametrize("page", PAGES, ids=NAMES)


@every_page
def test_python_blocks_run_in_order(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": page.stem}
    for block in blocks(page, "python"):
        code = compile("\n" * block.line + block.text, str(page), "exec")
        if not block.mark:
            exec(code, names)
    for test in [value for name, value in names.items() if name.startswith("test_")]:
        test()


@every_page
def test_examples_import_public_names_only(page: Path) -> None:
    inner = [block for block in blocks(page, "python") if re.search(r"(from|import) negsift\.", block.text)]
    assert page.stem == "extending" or not inner


@pytest.mark.parametrize(
    "block", [block for page in PAGES for block in blocks(page, "sh")], ids=lambda block: block.page.stem
)
def test_command_lines_are_understood(block: Block) -> None:
    assert block.mark in MARKS
    for line in block.text.splitlines():
        if block.mark != "after the steps above":
            require_command(shlex.split(line, comments=True))


def test_commands_for_a_cluster_are_run_by_a_test() -> None:
    run = [[begins for begins in runbook.COMMANDS if line.startswith(begins)] for line in runbook.lines()]
    assert sorted(itertools.chain.from_iterable(run)) == sorted(runbook.COMMANDS)
    assert all(len(found) == 1 for found in run)


def require_command(words: Sequence[str]) -> None:
    """The real parser takes the words, and their settings fit; targets, modules and files exist."""
    words = words[list(words).index("--") + 1 :] if "--" in words else words
    match as_negsift(words):
        case ["negsift", "submit", ("train" | "sweep") as command, *rest]:
            parser().parse_args(["submit", command, *rest])
            require_command(["negsift", command, *[word for word in rest if not word.startswith("--address")]])
        case ["negsift", "sweep", *rest]:
            asked = parser().parse_args(["sweep", *rest])
            study = study_named(asked.name)
            study.on(lambda base: override(base, asked.set)).over(parse_axes(asked.over), asked.seeds).trials(yes=False)
        case ["negsift", *rest]:
            parser().parse_args(rest)
            override(configuration(rest), [word for word in rest if SETTING.fullmatch(word)])
        case ["make", *rest]:
            assert all(is_target(word) for word in rest if "=" not in word)
        case ["python", "-m", module, *_]:
            assert importlib.util.find_spec(module)
        case [first, *_]:
            assert first in OTHERS


def as_negsift(words: Sequence[str]) -> list[str]:
    """`python -m negsift …` as `negsift …`; all else as it is."""
    return ["negsift", *words[3:]] if list(words[:3]) == ["python", "-m", "negsift"] else list(words)


def configuration(words: Sequence[str]) -> Any:
    """What the settings of a command change."""
    match list(words):
        case ["train" | "submit", name, *_]:
            return recipe(name)
        case ["pool", "build", *_]:
            return negsift.BuildConfig()
        case ["serve", "up", *_]:
            return negsift.FleetConfig(kind="ray")
    return RunConfig("")


def is_target(word: str) -> bool:
    return bool(re.search(rf"^{word}:", (ROOT / "Makefile").read_text(), re.MULTILINE))


@every_page
def test_commands_in_the_text_exist(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for span in spans(page):
        words = as_negsift(span.split())
        if words[0] in ("make", "python") and len(words) > 1:
            require_command(words)
        if words[0] == "negsift":
            named = list(itertools.takewhile(str.isalpha, itertools.takewhile(str.islower, words[1:3])))
            with pytest.raises(SystemExit, match="0"):
                parser().parse_args([*(named if named[:1] in (["pool"], ["serve"]) else named[:1]), "--help"])


@every_page
def test_settings_in_the_text_exist(page: Path) -> None:
    for setting in filter(KEY.fullmatch, spans(page)):
        key, equals, value = setting.partition("=")
        assert key in keys(RunConfig)
        if equals and not value.isupper():
            override(RunConfig(""), [setting])


@every_page
def test_files_in_the_text_exist(page: Path) -> None:
    paths = [span for span in spans(page) if re.fullmatch(r"(common|service|trainer|deploy|tests|docs)/[\w./]*", span)]
    assert not [path for path in paths if not (ROOT / path).exists() and path not in STEPS]


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "CHANGELOG.md", *(ROOT / "tests/bench").glob("*.md")], ids=lambda page: page.stem
)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@every_page
def test_a_page_states_its_purpose_and_the_readme_links_it(page: Path) -> None:
    title, blank, first = page.read_text().splitlines()[:3]
    assert title.startswith("# ")
    assert not blank
    assert first[0].isalpha()
    assert page.name == "README.md" or f"docs/{page.name}" in links(ROOT / "README.md")


def test_the_readme_has_at_most_150_lines() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_glossary_has_at_most_forty_words_in_order() -> None:
    lines = prose(DOCS / "glossary.md").splitlines()[4:]
    words = [re.sub(r"- \*\*([a-z ]+)\*\*: .+\.", r"\1", line) for line in lines]
    assert words == sorted(set(words))
    assert all(re.fullmatch("[a-z ]+", word) for word in words)
    assert len(words) <= 40


def test_tables_of_fields_have_them_all() -> None:
    account, recovery = fields(Account), fields(Account().recovery)
    assert set(first_words(DOCS / "own-loop.md", "field of `account`")) == {field.name for field in account}
    assert set(first_words(DOCS / "failures.md", "field")) == {field.name for field in recovery}


def test_the_round_policy_is_described_field_by_field() -> None:
    section = prose(DOCS / "own-loop.md").partition("## The round policy")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [field.name for field in fields(negsift.RoundPolicy)]


def test_the_service_takes_what_its_page_says() -> None:
    rows = {row[0]: row[1] for row in table(DOCS / "shared-service.md", "method")}
    for method, kind in (("`register(request)`", TaskSpec), ("`select(request, weights=[reference])`", RoundSpec)):
        assert {field.name for field in fields(kind)} | {"protocol"} == set(re.findall(r"`(\w+)`", rows[method]))


def test_the_metrics_are_those_that_are_exported() -> None:
    assert {f"negsift_{name}" for name in first_words(DOCS / "shared-service.md", "metric")} == METRICS.keys()


def test_a_round_goes_through_the_files_its_page_says() -> None:
    page = DOCS / "how-a-round-works.md"
    for line in prose(page).splitlines():
        row = re.match(r"\| \d+ \| \[[^]]+\]\(\.\./([^)]+)\) \| ([^|]+) \|", line)
        for name in re.findall(r"`(\w+)`", row[2]) if row else ():
            assert re.search(rf"^ *(async def|def|class) {name}\b", (ROOT / row[1]).read_text(), re.MULTILINE), line
