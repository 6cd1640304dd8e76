"""WebDataset's shards: tar files in which members of one name but for their endings are a sample.

Nothing is unpacked to disk.
"""

import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from negsift.common.data.files_below import endings_below
from negsift.common.data.numbered_shards import require_all
from negsift.common.errors import BadData
from negsift.common.regular_file import regular

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


class Members(NamedTuple):
    """A sample's key, its shard, and its members by ending in small letters, such as `.feats.npy`."""

    key: str
    shard: Path
    spans: Mapping[str, Span]


def tar_files(source: Path) -> list[Path]:
    """The tar file at a path, or those of a folder that has no other data, sorted."""
    if not source.is_dir():
        return [source] if source.suffix.lower() == ".tar" else []
    found = endings_below(source)
    return sorted(found[".tar"]) if ".tar" in found and found.keys() <= {".tar", *_BESIDE} else []


def read_members(source: Path) -> tuple[list[Members], list[str]]:
    """The members of all samples, shard by shard, and a line for each member that is none of a sample. Raises BadData
    for a file that is no whole tar, and for a member that is there twice.
    """
    found, odd = list[Members](), list[str]()
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
        found += [Members(key, path, members) for key, members in keyed.items()]
    return found, odd


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
                    odd.append(f"{path.name}, {member.name!a}: no regular file with an ending")
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
