"""Finds the files of bags in a folder: one for each bag at any depth, or laid out as CLAM or torchmil do.

CLAM writes `h5_files/` and `pt_files/` of the same bags, and `patches/` without features beside them. torchmil has
`features/` (or sets of features in folders below it), `labels/`, `inst_labels/` and `coords/`, and in each a file of
every bag.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from negsift.common.data.files_below import endings_below, files_below, in_order
from negsift.common.data.table.sources.array_file import COORDS, ENDINGS
from negsift.common.errors import BadData

_CLAM = ("h5_files", "pt_files")
_FEATURES, _LABELS, _INSTANCE_LABELS = "features", "labels", "inst_labels"
INSTANCE_LABELS = ("inst_labels", "patch_labels")


@dataclass(frozen=True)
class BagFolder:
    """The files of features, coords, labels and instances' labels by bag id, and a line for each folder not used."""

    features: Mapping[str, Path]
    coords: Mapping[str, Path] = field(default_factory=dict)
    labels: Mapping[str, Path] = field(default_factory=dict)
    instance_labels: Mapping[str, Path] = field(default_factory=dict)
    unused: Sequence[str] = ()


def find_bags(root: Path, key: str | None) -> BagFolder:
    """The bags below `root`. `key` names the folder below features/ if there are several. Raises BadData for two files
    of one id, and for several sets of features.
    """
    found = endings_below(root)
    paths = in_order(path for ending in ENDINGS for path in found.get(ending, ()))
    if any(path.parts[len(root.parts)] == _FEATURES for path in paths):
        return _torchmil(root, paths, key)
    for name in _CLAM:
        inside = [path for path in paths if name in path.parts[len(root.parts) : -1]]
        if inside:
            return BagFolder(_by_id(root, inside), unused=_unused(root, {*paths} - {*inside}))
    return BagFolder(_by_id(root, paths))


def _torchmil(root: Path, paths: Sequence[Path], key: str | None) -> BagFolder:
    def in_folder(folder: Path) -> list[Path]:
        return [path for path in paths if folder in path.parents]

    sets = sorted({path.parent for path in in_folder(root / _FEATURES)})
    fitting = [folder for folder in sets if folder.name == key] or sets
    if len(fitting) > 1:
        names = ", ".join(str(folder.relative_to(root)) for folder in fitting)
        raise BadData(f"{len(fitting)} sets of features in {root}: {names}", "one", "name its folder: key=NAME")
    beside = (COORDS, _LABELS, _INSTANCE_LABELS)
    used = {name: in_folder(root / name) for name in beside} | {_FEATURES: in_folder(fitting[0])}
    coords, labels, instance_labels = (_by_id(root / name, used[name]) for name in beside)
    unused = _unused(root, {*paths} - {path for some in used.values() for path in some})
    return BagFolder(_by_id(fitting[0], used[_FEATURES]), coords, labels, instance_labels, unused)


def _by_id(root: Path, paths: Sequence[Path]) -> dict[str, Path]:
    """The id of a file is its name, or where names repeat its path below `root`, both without the ending."""
    stems, files = [path.stem for path in paths], dict[str, Path]()
    times = Counter(stems)
    for path, stem in zip(paths, stems, strict=True):
        id = stem if times[stem] == 1 else path.relative_to(root).with_suffix("").as_posix()
        if id in files:
            raise BadData(f"{files[id]} and {path.name}, both bag {id!r}", "one file for a bag", "rename one")
        files[id] = path
    return files


def _unused(root: Path, paths: Iterable[Path]) -> list[str]:
    folders = Counter(str(path.parent.relative_to(root)) for path in paths)
    return [
        f"{folder}/: {count} {'file' if count == 1 else 'files'} not used" for folder, count in sorted(folders.items())
    ]


def others_in(root: Path, is_known: Callable[[Path], bool]) -> str:
    """The endings of the files that are there instead, in brackets; empty without any."""
    endings = sorted({path.suffix for path in files_below(root) if not is_known(path)} - {""})
    return f" (it has {', '.join(endings[:8])})" if endings else ""
