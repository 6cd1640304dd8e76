"""The commands of docs/cluster.md that tests/cluster/test_runbook.py runs: all of them that need no more than Ray."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.unit.pages import blocks

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"
COMMANDS = (
    "negsift plan cifar10", "negsift plan table data.root=POOL", "negsift plan table strategy.name=entropy",
    "ray start --head", "ray start --address=", "negsift submit digits", "negsift submit sweep", "negsift jobs list",
    "negsift jobs stop", "ray job submit", "negsift train",
)  # fmt: skip
"""How they begin."""


def lines() -> Iterator[str]:
    """The page's commands that need neither a cloud nor Kubernetes."""
    for block in blocks(PAGE, "sh"):
        if not block.mark:
            yield from block.text.splitlines()


@dataclass
class Runbook:
    """The page's commands; `left` are those that nobody has taken."""

    left: list[str] = field(default_factory=lambda: list(lines()))

    def take(self, command: str, **words: str) -> list[str]:
        """The words of the command that begins so, with some of them replaced in it."""
        (line,) = [line for line in self.left if line.startswith(command)]
        self.left.remove(line)
        for name, word in words.items():
            line = line.replace(name, word)
        return shlex.split(line, comments=True)
