"""README and docs as the tests read them: blocks of code, code spans, links, headings, tables."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

_FENCED = re.compile(
    r"(?:^ *<!-- test: (?P<mark>[^>]+) -->\n)?^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A block of code; `line` is the page's line that it begins after, `mark` what a comment above says for tests."""

    page: Path
    line: int
    language: str
    mark: str
    text: str


def blocks(page: Path, language: str) -> Iterator[Block]:
    """The page's blocks in a language, in order."""
    content = page.read_text()
    for match in _FENCED.finditer(content):
        if match["language"] == language:
            line = content.count("\n", 0, match.start("text"))
            yield Block(page, line, language, match["mark"] or "", textwrap.dedent(match["text"]))


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return _FENCED.sub("", page.read_text())


def spans(page: Path) -> list[str]:
    """What stands between single backticks."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def links(page: Path) -> list[str]:
    """Targets of links that stay within the project."""
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)) if "://" not in link]


def anchors(page: Path) -> set[str]:
    """What a forge calls the page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table(page: Path, heading: str) -> list[list[str]]:
    """The rows of the table that begins with this cell, without its head."""
    lines = iter(prose(page).splitlines())
    next(line for line in lines if line.startswith(f"| {heading} |"))
    next(lines)
    rows: list[list[str]] = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return rows


def first_words(page: Path, heading: str) -> list[str]:
    """All code spans in the first column of that table."""
    return [word for row in table(page, heading) for word in re.findall(r"`([^`]+)`", row[0])]
