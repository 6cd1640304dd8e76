"""Class lists (AudioSet40, all, the k most frequent, or a file), display names, and the ontology."""

import os
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from negsift.common.data.audioset.audioset40 import AUDIOSET40
from negsift.common.data.audioset.segments import Segment
from negsift.common.data.audioset.text import fields, read_lines
from negsift.common.data.class_names import class_number
from negsift.common.errors import BadData, BadInput, UnknownName
from negsift.common.json_text import parse_json

MUSIC, SPEECH = "/m/04rlf", "/m/09x0r"


@dataclass(frozen=True)
class Ontology:
    """AudioSet's `ontology.json`: the children of every mid, and the mids restricted from annotation."""

    children: Mapping[str, tuple[str, ...]]
    restricted: frozenset[str]

    def descendants(self, mid: str) -> frozenset[str]:
        """All mids below `mid` in the ontology, which is a directed acyclic graph."""
        below: set[str] = set()
        to_visit = [mid]
        while to_visit:
            new = set(self.children.get(to_visit.pop(), ())) - below
            below |= new
            to_visit += new
        return frozenset(below - {mid})


@dataclass(frozen=True)
class Vocabulary:
    """The class list `mids`, display `names` of these and other mids, and the ontology if the data has one."""

    mids: tuple[str, ...]
    names: Mapping[str, str]
    ontology: Ontology | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The display names of the class list."""
        return tuple(self.name(mid) for mid in self.mids)

    def name(self, mid: str) -> str:
        """A mid's display name, or the mid if it has none."""
        return self.names.get(mid, mid)


def read_ontology(root: Path) -> Ontology | None:
    """The ontology in `root`, or None. Raises BadData if the file can't be read."""
    path = root / "ontology.json"
    if not path.exists():
        return None
    text = "\n".join(read_lines(path))
    try:
        nodes = parse_json(text)
        children = {node["id"]: _strings(node["child_ids"]) for node in nodes}
        restricted = frozenset(node["id"] for node in nodes if node.get("restrictions"))
    except (ValueError, KeyError, TypeError) as error:
        raise BadData(f"{path} unreadable ({error!r})", "AudioSet's ontology.json", "download it again") from None
    return Ontology(children, restricted)


def _strings(values: object) -> tuple[str, ...]:
    """The strings of a list. Raises TypeError for anything else."""
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"{values!r} is not a list of mids")
    return tuple(values)


def read_names(root: Path) -> dict[str, str]:
    """Display names by mid, from `class_labels_indices.csv` in `root`, or of AudioSet40 without that file. Raises
    BadData for a malformed line.
    """
    path = root / "class_labels_indices.csv"
    if not path.exists():
        return dict(AUDIOSET40)
    names = {}
    rows = [(number, fields(line)) for number, line in enumerate(read_lines(path), 1) if line.strip()]
    for number, row in rows:
        if len(row) != 3 or not (row[0].isdigit() or number == 1):
            raise BadData(f"{path}, line {number}: {row}", 'lines such as 0,/m/09x0r,"Speech"', "download it again")
        if row[0].isdigit():
            names[row[1]] = row[2]
    return names


def read_vocabulary(root: Path, class_list: str, segments: Sequence[Segment], names: Mapping[str, str]) -> Vocabulary:
    """The class list that `class_list` (data.audio.classes) names, given the training list's `segments`. `names` are
    display names from the list itself; those of `class_labels_indices.csv` take precedence. Raises UnknownName for a
    class that no segment has, or for an unknown `class_list`.
    """
    index, ontology = read_names(root), read_ontology(root)
    names = {**names, **index}
    counts = Counter(tag for segment in segments for tag in segment.tags)
    all_mids = [*index, *sorted(counts.keys() - index.keys())]
    if class_list == "audioset40":
        mids = list(AUDIOSET40)
    elif class_list == "all":
        mids = [mid for mid in all_mids if mid in counts]
    elif re.fullmatch("top:0*[1-9][0-9]{0,8}", class_list):
        # In the balanced list, music (6,244 clips) and speech (5,735) are over six times as frequent as the next class.
        excluded = {MUSIC, SPEECH} | (ontology.restricted if ontology else frozenset())
        mids = [mid for mid in all_mids if mid in counts and mid not in excluded]
        mids = sorted(mids, key=lambda mid: -counts[mid])[: int(class_list[4:])]  # a stable sort: ties by index
    else:
        mids = _read_list(Path(os.path.expanduser(class_list)), names, counts)
    return Vocabulary(tuple(mids), names, ontology)


def _read_list(path: Path, names: Mapping[str, str], counts: Collection[str]) -> list[str]:
    if not os.path.exists(path) or os.path.isdir(path):
        raise UnknownName("data.audio.classes", str(path), ("audioset40", "all", "top:K", "a file of classes"))
    lines = [line.strip() for line in read_lines(path) if line.strip()]
    if not lines:
        raise BadData(f"no class in {path}", "one mid or name per line", "add some, or set data.audio.classes=all")
    by_name = {name: mid for mid, name in names.items()}
    mids = [by_name.get(line, line) for line in lines]
    for mid in mids:
        if mid not in counts:
            known = [f"{other} ({names[other]})" if other in names else other for other in counts]
            raise UnknownName(f"class in {path.name}", mid, known)
    return list(dict.fromkeys(mids))


def clip_class(target: str, vocabulary: Vocabulary) -> int:
    """The number of a class by its number, name or mid. Raises UnknownName, and BadInput for a name of several."""
    mids, names = vocabulary.mids, vocabulary.classes
    same = [mid for mid, name in zip(mids, names, strict=True) if name == target]
    if len(same) > 1:
        raise BadInput(f"{len(same)} classes called {target!r}", "one", f"give its mid, one of {', '.join(same)}")
    return mids.index(target) if target in mids else class_number(target, names)
