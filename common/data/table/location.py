"""Where a table lies: a folder on any file system that pyarrow opens, by local path or by URI."""

import re
import uuid
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem

from negsift.common.errors import BadData, BadInput


@dataclass(frozen=True)
class Location:
    """A folder `path` of a file system; `name` is what messages call it."""

    fs: FileSystem
    path: str
    name: str

    @classmethod
    def of(cls, where: "str | Path | Location") -> "Location":
        """The folder at a local path or a URI (file, s3, gs, hdfs, ...); raises BadData if it can't be opened."""
        if isinstance(where, Location):
            return where
        if "://" not in str(where):
            return cls(LocalFileSystem(), str(Path(where).expanduser().absolute()), str(where))
        name = re.sub("//[^/@]*@", "//", str(where))  # no passwords in messages
        try:
            fs, path = FileSystem.from_uri(str(where))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise BadData(f"{name}, which can't be opened ({error})", _KNOWN, "correct the URI") from None
        return cls(fs, path, name)

    def at(self, file: str) -> str:
        """The path of a file in the folder."""
        return f"{self.path.rstrip('/')}/{file}"

    def files(self) -> list[str]:
        """The names of the files in the folder; none where there is no folder. Raises BadData if it can't be read."""
        try:
            found = self.fs.get_file_info(FileSelector(self.path, allow_not_found=True))
        except (pa.ArrowException, OSError) as error:
            raise BadData(f"{self.name}, which can't be read ({error})", _KNOWN, "correct the path or URI") from None
        return sorted(info.base_name for info in found if info.type == FileType.File)

    def read(self, file: str, start: int = 0, size: int | None = None) -> pa.Buffer:
        """Bytes of a file, fewer where it ends sooner; raises BadData if it can't be read."""
        try:
            with self.fs.open_input_file(self.at(file)) as stream:
                stream.seek(start)
                return stream.read_buffer(size)
        except (pa.ArrowException, OSError) as error:
            raise BadData(f"{self.name}/{file}, which can't be read ({error})", "a file", "bring it back") from None

    def size(self, file: str) -> int | None:
        """The size of a file in bytes; None where there is none."""
        size: int | None = self.fs.get_file_info(self.at(file)).size
        return size

    def others(self, ours: re.Pattern[str]) -> list[str]:
        """The names of visible files and folders in the folder that don't match `ours`."""
        found = self.fs.get_file_info(FileSelector(self.path, allow_not_found=True))
        names = sorted(info.base_name for info in found)
        return [name for name in names if name[:1] != "." and not ours.fullmatch(name)]

    def begin(self) -> tuple[str, pa.NativeFile]:
        """A new name for a file that isn't ready yet, and the file; raises BadInput where none can be made."""
        hidden = f".making-{uuid.uuid4().hex}"
        try:
            self.fs.create_dir(self.path)
            return hidden, self.fs.open_output_stream(self.at(hidden))
        except (pa.ArrowException, OSError) as error:
            raise BadInput(
                f"{self.name}, which can't be written ({error})", "a folder with room and permission", "choose another"
            ) from None

    def publish(self, hidden: str, file: str) -> None:
        """Give a finished file its name."""
        self.fs.move(self.at(hidden), self.at(file))

    def write(self, file: str, data: bytes) -> None:
        """A whole file or none."""
        hidden, stream = self.begin()
        with stream:
            stream.write(data)
        self.publish(hidden, file)

    def remove(self, file: str) -> None:
        """Delete a file, if it is there."""
        if self.size(file) is not None:
            self.fs.delete_file(self.at(file))


_KNOWN = "a folder, or a URI such as file:///…, s3://…, gs://…, hdfs://…"
