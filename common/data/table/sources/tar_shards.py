"""WebDataset's shards: tar files in which members of one name but for their endings are a sample.

Nothing is unpacked to disk. A sample's labels are its `.cls` (a number or a name), or the label column of its `.json`.
"""

import json
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from negsift.common.data.files_below import endings_below
from negsift.common.data.numbered_shards import require_all
from negsift.common.data.table.sources.labels import as_labels
from negsift.common.data.table.sources.shards import split_below
from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.errors import BadData
from negsift.common.json_text import parse_json
from negsift.common.regular_file import regular

_MOST_LABEL_BYTES = 1 << 20
_CLS, _JSON = ".cls", ".json"
_BESIDE = (".json", ".txt", ".md", ".yaml", ".yml", ".idx", "")


class Span(NamedTuple):
    """A member of a tar file: a range of its bytes."""

    path: Path
    name: str
    start: int
    size: int

    def __str__(self) -> str:
        return f"{self.name} of {self.path}"

    @property
    def suffix(self) -> str:
        """The ending, in small letters."""
        return Path(self.name).suffix.lower()

    def read_bytes(self) -> bytes:
        """The member's content. Raises OSError for a file that has become shorter."""
        with regular(self.path).open("rb") as stream:
            stream.seek(self.start)
            content = stream.read(self.size)
        if len(content) < self.size:
            raise OSError(f"{self.path} ends within {self.name}")
        return content


@dataclass(frozen=True)
class TarSample:
    """A sample: its id, unique in its source, its members by ending, labels (None if it has none) and split."""

    id: str
    members: Mapping[str, Span]
    labels: list[str] | None
    split: str

    def payload(self, endings: Sequence[str] | set[str]) -> Span | None:
        """The first member of one of these endings."""
        return next((span for span in self.members.values() if span.suffix in endings), None)


def tar_files(source: Path) -> list[Path]:
    """The tar file at a path, or those of a folder that has no other data, sorted."""
    if not source.is_dir():
        return [source] if source.suffix.lower() == ".tar" else []
    found = endings_below(source)
    return sorted(found[".tar"]) if ".tar" in found and found.keys() <= {".tar", *_BESIDE} else []


def read_tars(source: Path, config: BuildConfig) -> tuple[list[TarSample], list[str]]:
    """The samples of all shards, and a line for each member that is none of a sample. Raises BadData for a file that is
    no whole tar, for a member that is there twice, and for labels that can't be read, or that no sample has.
    """
    found, odd = list[tuple[str, Path, dict[str, Span]]](), list[str]()
    paths = tar_files(source)
    if source.is_dir():
        require_all(paths)
    for path in paths:
        keyed = dict[str, dict[str, Span]]()
        for span in _members(path, odd):
            key, ending = _key(span.name)
            members = keyed.setdefault(key, {})
            if f".{ending.lower()}" in members:
                raise BadData(f"{span.name} a second time in {path}", "each member once", "write the shard again")
            members[f".{ending.lower()}"] = span
        found += [(key, path, members) for key, members in keyed.items()]
    times = Counter(key for key, _, _ in found)
    root = source if source.is_dir() else source.parent
    samples = [
        TarSample(
            key if times[key] == 1 else f"{path.relative_to(root).with_suffix('').as_posix()}/{key}", members,
            _labels(members, config), split_below(path.relative_to(root)),
        )
        for key, path, members in found
    ]  # fmt: skip
    if all(sample.labels is None for sample in samples):
        raise BadData(f"no label in {source}{_keys(samples)}", "a .cls, or a .json with label", "label_column=NAME")
    return samples, odd


def _keys(samples: Sequence[TarSample]) -> str:
    """What the first JSON has in place of the label, in brackets."""
    span = next((sample.members[_JSON] for sample in samples if _JSON in sample.members), None)
    return f" ({span.name} has {', '.join(parse_json(span.read_bytes().decode()))})" if span else ""


def first_endings(source: Path) -> set[str]:
    """The endings of the first sample's members."""
    members, key = set[str](), None
    for span in _members(tar_files(source)[0], []):
        first = _key(span.name)[0]
        if key not in (None, first):
            break
        key = first
        members.add(span.suffix)
    return members


def _members(path: Path, odd: list[str]) -> Iterator[Span]:
    try:
        with tarfile.open(regular(path), "r:") as opened:
            for member in opened:
                if member.isdir() or Path(member.name).name.startswith("."):
                    continue
                if not (
                    member.isreg()
                    and not member.issparse()
                    and member.name.isprintable()
                    and "." in Path(member.name).name
                ):
                    odd.append(f"{path.name}, {member.name!a:.80}: no regular file with an ending")
                    continue
                yield Span(path, member.name, member.offset_data, member.size)
            # tarfile takes a header that is cut or damaged for the end, which is a block of zeros.
            opened.fileobj.seek(opened.offset)
            if opened.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise EOFError(f"no end of the archive at byte {opened.offset:,}")
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        raise BadData(f"{path} unreadable ({error})", "a tar file, not compressed", "repair or unpack it") from None


def _key(name: str) -> tuple[str, str]:
    """The name of the sample that a member belongs to, and the rest, as WebDataset divides: at the first point."""
    folder, slash, file = name.removeprefix("./").rpartition("/")
    stem, _, ending = file.partition(".")
    return f"{folder}{slash}{stem}", ending


def _labels(members: Mapping[str, Span], config: BuildConfig) -> list[str] | None:
    span = members.get(_CLS) or members.get(_JSON)
    if span is None:
        return None
    if span.size > _MOST_LABEL_BYTES:
        raise BadData(f"{span.size:,} bytes of {span}", "a label, or JSON of one", "correct it")
    try:
        text = span.read_bytes().decode()
        value = text.strip() if span is members.get(_CLS) else _labelled(parse_json(text), config)
        labels: list[str] | None = as_labels(pa.array([value]), config.label_separator)[0].as_py()
    except (ValueError, OSError, pa.ArrowException) as error:
        raise BadData(f"{span} ({error})", "a label, or JSON of one", "correct it") from None
    return labels


def _labelled(content: object, config: BuildConfig) -> object:
    if not isinstance(content, dict):
        raise json.JSONDecodeError("no object", "", 0)
    return content.get(config.label_column, content.get("labels"))
