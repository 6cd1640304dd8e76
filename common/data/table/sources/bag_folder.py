"""Finds the files of bags in a folder: one for each bag at any depth, or laid out as CLAM or torchmil do.

CLAM writes `h5_files/` and `pt_files/` of the same bags, and `patches/` without features beside them. torchmil has
`features/` (or sets of features in folders below it, or `features_NAME/`), `labels/`, `inst_labels/` or `patch_labels/`
and `coords/`, and in each a file of every bag; all of them may be below a folder such as `patches_512/`.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from negsift.common.data.files_below import endings_below, files_below, in_order, name_below
from negsift.common.data.table.sources.array_file import COORDS, ENDINGS
from negsift.common.errors import BadData
from negsift.common.some_of import some_of

_CLAM = ("h5_files", "pt_files")
_FEATURES, _LABELS = "features", "labels"
INSTANCE_LABELS = ("inst_labels", "patch_labels")


@dataclass(frozen=True)
class BagFolder:
    """The files of features, coords, labels and instances' labels by bag id, in the folder `base`. `has_key` is whether
    the key was the name of a folder.
    """

    base: Path
    features: Mapping[str, Path]
    coords: Mapping[str, Path] = field(default_factory=dict)
    labels: Mapping[str, Path] = field(default_factory=dict)
    instance_labels: Mapping[str, Path] = field(default_factory=dict)
    has_key: bool = False

    def unused(self, root: Path, others: Collection[Path]) -> list[str]:
        """A line for each folder below `root` with files that are neither these nor `others`; in `root` itself only
        files of arrays are looked for.
        """
        of_bags = (self.features, self.coords, self.labels, self.instance_labels)
        used = {path for some in of_bags for path in some.values()} | {*others}
        left = (path for path in files_below(root) if path.parent != root or path.suffix.lower() in ENDINGS)
        folders = Counter(name_below(root, path.parent) or "." for path in left if path not in used)
        return [
            f"{name}/: {count} {'file' if count == 1 else 'files'} not used" for name, count in sorted(folders.items())
        ]


def find_bags(root: Path, key: str | None) -> BagFolder:
    """The bags below `root`. `key` names the folder of features if there are several. Raises BadData for two files of
    one id, and for several sets of features.
    """
    found = endings_below(root)
    paths = in_order(path for ending in ENDINGS for path in found.get(ending, ()))
    for name in _CLAM:
        inside = [path for path in paths if name in path.parts[len(root.parts) : -1]]
        if inside:
            return BagFolder(root, _by_id(root, inside))
    sets = _sets(root, paths)
    return _torchmil(root, paths, sets, key) if sets else BagFolder(root, _by_id(root, paths))


def _sets(root: Path, paths: Sequence[Path]) -> Mapping[Path, Path]:
    """The folders of torchmil's sets of features, each with the folder that has what is known of its bags; none where
    nothing is beside folders of such names, and none is called features in `root` itself.
    """
    sets, beside = dict[Path, Path](), set[Path]()
    for path in paths:
        folders = path.parts[len(root.parts) : -1]
        place = next((number for number, name in enumerate(folders) if _is_called(name, _FEATURES)), None)
        if place is not None:
            sets.setdefault(path.parent, root.joinpath(*folders[:place]))
        elif any(_is_called(folders[-1], name) for name in (COORDS, _LABELS, *INSTANCE_LABELS) if folders):
            beside.add(path.parent.parent)
    return {
        folder: base for folder, base in sets.items() if base in beside or root / _FEATURES in (folder, *folder.parents)
    }


def _is_called(folder: str, name: str) -> bool:
    return folder == name or folder.startswith(f"{name}_")


def _torchmil(root: Path, paths: Sequence[Path], sets: Mapping[Path, Path], key: str | None) -> BagFolder:
    stated = [folder for folder in sets if key and key in (name_below(root, folder), *folder.parts[len(root.parts) :])]
    fitting = stated or list(sets)
    if len(fitting) > 1:
        names = some_of(name_below(root, folder) for folder in fitting)
        remedy = "name its folder, or where names repeat its path: key=NAME"
        raise BadData(f"{len(fitting)} sets of features in {root}: {names}", "one", remedy)
    features, base = fitting[0], sets[fitting[0]]

    def beside(*names: str) -> dict[str, Path]:
        folder = _beside(base, features.name.removeprefix(f"{_FEATURES}_"), names)
        return {} if folder is None else _by_id(folder, [path for path in paths if folder in path.parents])

    own = [path for path in paths if path.parent == features]
    coords, labels, instance_labels = beside(COORDS), beside(_LABELS), beside(*INSTANCE_LABELS)
    return BagFolder(base, _by_id(features, own), coords, labels, instance_labels, bool(stated))


def _beside(base: Path, of_set: str, names: Sequence[str]) -> Path | None:
    """The folder in `base` of one of these names: with the set's own at its end, or plain, or else the only one."""
    found = [
        path for path in sorted(base.iterdir()) if path.is_dir() and any(_is_called(path.name, name) for name in names)
    ]
    own = [path for path in found if path.name in [f"{name}_{of_set}" for name in names]]
    plain = [path for path in found if path.name in names]
    return next(iter(own or plain), found[0] if len(found) == 1 else None)


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


def others_in(root: Path, is_known: Callable[[Path], bool]) -> str:
    """The endings of the files that are there instead, in brackets; empty without any."""
    endings = sorted({path.suffix for path in files_below(root) if not is_known(path)} - {""})
    return f" (it has {some_of(endings)})" if endings else ""
