"""Class lists: AudioSet40, all, the k most frequent, or the user's own; and the ontology."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from negsift.common.data.audioset.forty import AUDIOSET40
from negsift.common.data.audioset.segments import Segment
from negsift.common.data.audioset.text import fields, read_lines
from negsift.common.errors import BadData, UnknownName

MUSIC, SPEECH = "/m/04rlf", "/m/09x0r"


@dataclass(frozen=True)
class Ontology:
    """AudioSet's `ontology.json`: children of every mid, and those that are no classes to annotate."""

    children: Mapping[str, tuple[str, ...]]
    restricted: frozenset[str]

    def descendants(self, mid: str) -> frozenset[str]:
        """Everything below `mid`, which is not among them; the ontology is a DAG."""
        found: set[str] = set()
        waiting = [mid]
        while waiting:
            new = set(self.children.get(waiting.pop(), ())) - found
            found |= new
            waiting += new
        return frozenset(found - {mid})


@dataclass(frozen=True)
class Vocabulary:
    """The class list `mids`, display `names` of these and other mids, and the ontology, if there is one."""

    mids: tuple[str, ...]
    names: Mapping[str, str]
    ontology: Ontology | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the class list."""
        return tuple(self.name(mid) for mid in self.mids)

    def name(self, mid: str) -> str:
        """A mid's display name, or itself."""
        return self.names.get(mid, mid)


def read_ontology(root: Path) -> Ontology | None:
    """The ontology in `root`, if it is there; raises BadData if it can't be read."""
    path = root / "ontology.json"
    if not path.exists():
        return None
    try:
        nodes = json.loads(path.read_text(encoding="utf-8"))
        children = {node["id"]: _strings(node["child_ids"]) for node in nodes}
        restricted = frozenset(node["id"] for node in nodes if node.get("restrictions"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadData(f"{path} unreadable ({error!r})", "AudioSet's ontology.json", "fetch it anew") from None
    return Ontology(children, restricted)


def _strings(values: object) -> tuple[str, ...]:
    """A list's strings; raises TypeError for anything else."""
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"{values!r} is no list of mids")
    return tuple(values)


def read_names(root: Path) -> dict[str, str]:
    """Display names by mid, from `class_labels_indices.csv` in `root`; without it, those of AudioSet40."""
    path = root / "class_labels_indices.csv"
    if not path.exists():
        return dict(AUDIOSET40)
    names = {}
    rows = [(number, fields(line)) for number, line in enumerate(read_lines(path), 1) if line.strip()]
    for number, row in rows:
        if len(row) != 3 or not (row[0].isdigit() or number == 1):
            raise BadData(f"{path}, line {number}: {row}", 'lines such as 0,/m/09x0r,"Speech"', "fetch it anew")
        if row[0].isdigit():
            names[row[1]] = row[2]
    return names


def read_vocabulary(root: Path, wanted: str, segments: Sequence[Segment], told: Mapping[str, str]) -> Vocabulary:
    """The class list that `wanted` (data.audio.classes) means for the training list's `segments`.

    `told` are display names that came with the list; those of `class_labels_indices.csv` take precedence.
    """
    index, ontology = read_names(root), read_ontology(root)
    names = {**told, **index}
    counts = Counter(tag for segment in segments for tag in segment.tags)
    every = [*index, *sorted(counts.keys() - index.keys())]
    if wanted == "audioset40":
        mids = list(AUDIOSET40)
    elif wanted == "all":
        mids = [mid for mid in every if mid in counts]
    elif wanted.startswith("top:") and wanted[4:].isdecimal() and int(wanted[4:]):
        excluded = {MUSIC, SPEECH} | (ontology.restricted if ontology else frozenset())
        mids = [mid for mid in every if mid in counts and mid not in excluded]
        mids = sorted(mids, key=lambda mid: -counts[mid])[: int(wanted[4:])]  # stable: ties by index
    else:
        mids = _read_list(Path(wanted).expanduser(), names, counts)
    return Vocabulary(tuple(mids), names, ontology)


def _read_list(path: Path, names: Mapping[str, str], counts: Collection[str]) -> list[str]:
    if not path.is_file():
        raise UnknownName("data.audio.classes", str(path), ("audioset40", "all", "top:K", "a file, a class a line"))
    lines = [line.strip() for line in read_lines(path) if line.strip()]
    if not lines:
        raise BadData(f"no class in {path}", "a mid or a name a line", "write some, or set data.audio.classes=all")
    by_name = {name: mid for mid, name in names.items()}
    mids = [by_name.get(line, line) for line in lines]
    for mid in mids:
        if mid not in counts:
            known = [f"{found} ({names[found]})" if found in names else found for found in counts]
            raise UnknownName(f"class in {path.name}", mid, known)
    return list(dict.fromkeys(mids))
