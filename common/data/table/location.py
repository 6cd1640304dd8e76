"""The folder of a table, on any file system that pyarrow supports, named by a local path or a URI."""

import os
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow.fs import FileInfo, FileSelector, FileSystem, FileType, LocalFileSystem

from negsift.common.errors import BadData, BadInput
from negsift.common.unfinished import rename_to_new


@dataclass(frozen=True)
class Location:
    """The folder `path` of the file system `fs`; messages call it `name`."""

    fs: FileSystem
    path: str
    name: str

    @classmethod
    def of(cls, where: "str | Path | Location") -> "Location":
        """The folder at a local path or a URI (file, s3, gs, hdfs, ...). Raises BadData if the path is empty or the URI
        can't be opened.
        """
        if isinstance(where, Location):
            return where
        if not str(where).strip():
            raise BadData("an empty path", _KNOWN, "name the table's folder; . is the current one")
        try:
            str(where).encode()
        except UnicodeEncodeError:  # which pyarrow can't pass on
            shown = str(where).encode(errors="backslashreplace").decode()
            raise BadData(f"a path that is not UTF-8, {shown}", _KNOWN, "rename the folder") from None
        if "://" not in str(where):
            return cls(LocalFileSystem(), str(Path(os.path.expanduser(where)).absolute()), str(where))
        name = re.sub("//[^/@]*@", "//", str(where))  # URIs may contain a password, which messages must not show
        try:
            fs, path = FileSystem.from_uri(_impatient(str(where)))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise BadData(f"{name}, which can't be opened ({error})", _KNOWN, "correct the URI") from None
        return cls(fs, path, name)

    def path_of(self, file: str) -> str:
        """The path of a file in the folder, for `fs`."""
        return f"{self.path.rstrip('/')}/{file}"

    def files(self) -> list[str]:
        """The names of the files in the folder, sorted; empty without a folder. Raises BadData if it can't be read."""
        try:
            entries = self._entries()
        except NotADirectoryError:
            remedy = "name another, or make one with `pool build`"
            raise BadData(f"the file {self.name}", "the folder of a bag table", remedy) from None
        except (pa.ArrowException, OSError) as error:
            raise BadData(f"{self.name}, which can't be read ({error})", _KNOWN, "correct the path or URI") from None
        return sorted(info.base_name for info in entries if info.type == FileType.File)

    def _entries(self) -> list[FileInfo]:
        selector = FileSelector(self.path, allow_not_found=True)
        try:
            return list(self.fs.get_file_info(selector))
        except FileNotFoundError:  # pyarrow looks twice, and another program made the folder in between
            return list(self.fs.get_file_info(selector))

    def read(self, file: str, start: int = 0, size: int | None = None) -> pa.Buffer:
        """At most `size` bytes of a file from `start` on. Raises BadData if it can't be read."""
        try:
            with self.fs.open_input_file(self.path_of(file)) as stream:
                stream.seek(start)
                return stream.read_buffer(size)
        except (pa.ArrowException, OSError) as error:
            raise BadData(f"{self.name}/{file}, which can't be read ({error})", "a file", "restore it") from None

    def size(self, file: str) -> int | None:
        """The size of a file in bytes; None without a file."""
        size: int | None = self.fs.get_file_info(self.path_of(file)).size
        return size

    def others(self, known: re.Pattern[str]) -> list[str]:
        """The names of the visible files and folders in the folder that do not match `known`."""
        entries = self.fs.get_file_info(FileSelector(self.path, allow_not_found=True))
        names = sorted(info.base_name for info in entries)
        return [name for name in names if name[:1] != "." and not known.fullmatch(name)]

    def hidden(self, prefix: str) -> list[str]:
        """The names of the hidden files in the folder that begin with `prefix`."""
        entries = self.fs.get_file_info(FileSelector(self.path, allow_not_found=True))
        return [info.base_name for info in entries if info.base_name.startswith(prefix)]

    def begin(self) -> tuple[str, pa.NativeFile]:
        """A hidden name and an open file of that name, to be written and published. Raises BadInput if that fails."""
        hidden = f".making-{uuid.uuid4().hex}"
        with self.writing():
            self.fs.create_dir(self.path)
            return hidden, self.fs.open_output_stream(self.path_of(hidden))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A context that writes in the folder: where it can't, say because the disk is full, it raises BadInput."""
        try:
            yield
        except FileExistsError:
            raise
        except (pa.ArrowException, OSError) as error:
            reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
            found = f"{self.name}, which can't be written ({reason})"
            raise BadInput(found, "a writable folder with free space", "choose another") from None

    @property
    def absent_folders(self) -> Sequence[Path]:
        """The folder and those around it that writing would make, the innermost first; none but on a local disk."""
        folders = (Path(self.path), *Path(self.path).parents) if isinstance(self.fs, LocalFileSystem) else ()
        return [folder for folder in folders if not os.path.lexists(folder)]

    def publish(self, hidden: str, file: str) -> None:
        """Give a finished file its name. Raises FileExistsError if the name is taken. On local disks only one program
        gets a name, also of several at the same moment; other file systems of pyarrow can't promise that.
        """
        if isinstance(self.fs, LocalFileSystem):
            rename_to_new(self.path_of(hidden), self.path_of(file))
        elif self.size(file) is not None:
            raise FileExistsError(file)
        else:
            self.fs.move(self.path_of(hidden), self.path_of(file))

    def write(self, file: str, data: bytes) -> None:
        """Write a file, which appears complete or not at all. Raises FileExistsError if the name is taken."""
        hidden, stream = self.begin()
        try:
            with self.writing():
                with stream:
                    stream.write(data)
                self.publish(hidden, file)
        finally:
            self.remove(hidden)

    def remove(self, file: str) -> None:
        """Delete a file; does nothing without one."""
        if self.size(file) is not None:
            self.fs.delete_file(self.path_of(file))


def remove_if_empty(folders: Sequence[Path]) -> None:
    """Remove these folders, the innermost first, as far as nobody has put anything there."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


def _impatient(uri: str) -> str:
    """The URI with an end to trying for Google's storage, which is asked for a quarter of an hour by default."""
    if not uri.startswith(("gs://", "gcs://")) or "retry_limit_seconds=" in uri:
        return uri
    return f"{uri}{'&' if '?' in uri else '?'}retry_limit_seconds={_ANSWER_S}"


_ANSWER_S = 30
_KNOWN = "a folder, or a URI such as file:///…, s3://…, gs://…, hdfs://…"
