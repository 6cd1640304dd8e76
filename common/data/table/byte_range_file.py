"""A range of a file's bytes that pyarrow reads as if it were the file: a footer or a row group, from memory."""

import pyarrow as pa


class ByteRangeFile:
    """`data` is the bytes from `start` on; `size` is the whole file's, by default the end of `data`. Positions are
    those of the whole file.
    """

    closed = False

    def __init__(self, data: pa.Buffer, start: int, size: int | None = None) -> None:
        self._data, self._start, self._position = data, start, 0
        self._size = start + data.size if size is None else size

    def read_buffer(self, size: int = -1) -> pa.Buffer:
        """The next `size` bytes, not copied; all bytes to the end if negative. Raises OSError outside the range."""
        size = self._size - self._position if size is None or size < 0 else size
        first = self._position - self._start
        if first < 0 or first + size > self._data.size:
            raise OSError(f"bytes {self._position} to {self._position + size} are outside the range")
        self._position += size
        return self._data.slice(first, size)

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes, as `read_buffer`."""
        data: bytes = self.read_buffer(size).to_pybytes()
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a position and return it; `whence` as in `io.IOBase.seek`."""
        self._position = (0, self._position, self._size)[whence] + offset
        return self._position

    def tell(self) -> int:
        """The position."""
        return self._position

    def close(self) -> None:
        """Does nothing."""
