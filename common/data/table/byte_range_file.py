"""Some bytes of a file, in the place of the whole file: pyarrow reads a footer or a row group from memory."""

import pyarrow as pa


class ByteRangeFile:
    """The bytes from `start` on; `size` is the whole file's, by default up to their end."""

    closed = False

    def __init__(self, data: pa.Buffer, start: int, size: int | None = None) -> None:
        self._data, self._start, self._at = data, start, 0
        self._size = start + data.size if size is None else size

    def read_buffer(self, size: int = -1) -> pa.Buffer:
        """The next bytes, not copied; asks for bytes outside the window are an error of ours."""
        size = self._size - self._at if size is None or size < 0 else size
        first = self._at - self._start
        if first < 0 or first + size > self._data.size:
            raise OSError(f"bytes {self._at} to {self._at + size} are not in the window")
        self._at += size
        return self._data.slice(first, size)

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        data: bytes = self.read_buffer(size).to_pybytes()
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place in the file."""
        self._at = (0, self._at, self._size)[whence] + offset
        return self._at

    def tell(self) -> int:
        """The place in the file."""
        return self._at

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Nothing to close."""
