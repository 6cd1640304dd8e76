"""What Ray exports for Prometheus on the tests' one node."""

import re
import urllib.request

import ray

_LINE = re.compile(r"(?P<name>\w+)\{(?P<labels>.*)\} (?P<value>\S+)")


def series(prefix: str) -> list[tuple[str, dict[str, str], float]]:
    """The series whose names begin so: name without the prefix, labels, value."""
    port = ray.nodes()[0]["MetricsExportPort"]  # type: ignore[no-untyped-call]  # Ray leaves it untyped
    text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60).read().decode()
    found = [match for line in text.splitlines() if line.startswith(prefix) and (match := _LINE.fullmatch(line))]
    return [
        (
            match["name"].removeprefix(prefix),
            dict(re.findall(r'(\w+)="([^"]*)"', match["labels"])),
            float(match["value"]),
        )
        for match in found
    ]


def exported(**labels: str) -> dict[str, float]:
    """The sums of negsift's series with these labels, by name without `ray_negsift_`."""
    sums = dict[str, float]()
    for name, all_labels, value in series("ray_negsift_"):
        if labels.items() <= all_labels.items():
            sums[name] = sums.get(name, 0.0) + value
    return sums


def task_names() -> set[str]:
    """The names of Ray's tasks and of actors' calls so far, but for "Unknown task", which Ray's core adds by itself."""
    return {labels["Name"] for _, labels, _ in series("ray_tasks")} - {"Unknown task"}
