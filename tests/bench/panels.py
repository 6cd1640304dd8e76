"""Asks a running Prometheus every question of the Grafana dashboard, and says which of them it has no answer to.

`python -m tests.bench.panels http://127.0.0.1:9090`, while a run and a shared service are at work.
"""

import json
import re
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DASHBOARD = Path(__file__).parents[2] / "deploy" / "monitoring" / "grafana" / "negsift.json"
_VARIABLE = re.compile(r"\$\{?(?!__)\w+(?::\w+)?\}?")
_TIMES = {"$__rate_interval": "1m", "$__interval": "15s", "$__range": "5m"}


def questions(panels: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:  # Any: JSON
    """The title of each panel with each of its expressions, for all values of the dashboard's variables."""
    for panel in panels:
        yield from questions(panel.get("panels", []))
        for target in panel.get("targets", []):
            text = target["expr"]
            for name, value in _TIMES.items():
                text = text.replace(name, value)
            yield panel["title"], _VARIABLE.sub(".*", text)


def answers(server: str, question: str) -> int:
    """The number of series in the answer."""
    with urllib.request.urlopen(f"{server}/api/v1/query?{urllib.parse.urlencode({'query': question})}") as reply:
        return len(json.load(reply)["data"]["result"])


def main(server: str) -> None:
    """A line for each question, with the number of series in its answer."""
    asked = list(questions(json.loads(DASHBOARD.read_text())["panels"]))
    found = [answers(server, question) for _, question in asked]
    for (title, question), count in zip(asked, found, strict=True):
        sys.stdout.write(f"{count:3}  {title}" + ("\n" if count else f"   no answer to {question}\n"))
    sys.stdout.write(f"{len(asked)} questions, {found.count(0)} without an answer\n")


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"))
