"""Each cluster file says at its head what to edit and which commands start it; the page on clusters lists them all."""

import re
import shlex
from pathlib import Path

import pytest

from tests.unit.deploy.files.checkout import ALL, KUBERNETES, ROOT, commands, documents, head
from tests.unit.pages import blocks, table
from tests.unit.test_docs import require_command

PAGE = ROOT / "docs" / "cluster.md"
every_file = pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)


@every_file
def test_its_head_says_what_to_edit_and_how_to_start_it(path: Path) -> None:
    assert re.search(r"\bEdit: |Nothing has to be edited", head(path))
    assert any(str(path.relative_to(ROOT)) in command for command in commands(path))


@every_file
def test_its_commands_are_understood_and_name_files_that_exist(path: Path) -> None:
    for command in commands(path):
        words = shlex.split(command.replace("$(", "").removesuffix("&"))
        assert all((ROOT / word).exists() for word in words if word.startswith("deploy/"))
        require_command([word for word in words if not word.startswith("RAY_AUTH_MODE=")])


@pytest.mark.parametrize("path", KUBERNETES, ids=lambda path: path.stem)
def test_names_in_commands_of_kubectl_are_those_of_the_file(path: Path) -> None:
    kinds = {item["kind"]: item["metadata"]["name"] for item in documents(path)}
    cluster = kinds.get("RayCluster")
    known = {f"service/{cluster}-head-svc", f"job/{kinds.get('Job', kinds.get('RayJob'))}"}
    assert set(re.findall(r"\b(?:service|job)/\S+", "\n".join(commands(path)))) <= known
    assert set(re.findall(r"raycluster (\S+)|get secret (\S+)", "\n".join(commands(path)))) <= {
        (cluster, ""), ("", cluster)
    }  # fmt: skip


def test_the_page_lists_all_files_and_commands_of_theirs() -> None:
    files = [re.sub(r".*\(\.\./(.*)\)", r"\1", row[0]) for row in table(PAGE, "file")]
    assert {ROOT / file for file in files} == set(ALL)
    [block] = [block for block in blocks(PAGE, "sh") if block.mark == "needs a cloud or Kubernetes"]
    lines = block.text.splitlines()
    assert all(any(line in commands(path) for path in ALL) for line in lines)
    assert all(any(file in line for line in lines) for file in files)


@every_file
def test_what_has_to_be_edited_is_marked_by_one_word(path: Path) -> None:
    assert not re.search(r"TODO|CHANGEME|YOUR|<[A-Z]+>", path.read_text())
