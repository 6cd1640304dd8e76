"""Rows of Parquet files in a file without a name that is mapped into memory: any is read when it is asked for."""

import mmap
import os
import tempfile
from collections.abc import Iterator

import pyarrow as pa

from negsift.common.data.cache_folder import cache_folder
from negsift.common.errors import BadInput


def mapped(batches: Iterator[pa.Table], schema: pa.Schema) -> pa.Table:
    """The rows of all batches, of which no more than one is held in memory. The file lies in the cache folder; it has
    no name, so that it goes with the table, however this process ends. Raises BadInput where there is no room for it.
    """
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as stream:
            with pa.ipc.new_file(stream, schema) as writer:
                for batch in batches:
                    writer.write_table(batch)
            stream.flush()
            content = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)  # which keeps the file
    except OSError as error:
        if error.errno is None:  # Arrow's own, of a damaged batch
            raise
        found = f"{folder}, where images can't be kept while bags are cut ({os.strerror(error.errno)})"
        raise BadInput(found, "a writable folder with room for them", "name another: NEGSIFT_CACHE=FOLDER") from None
    return pa.ipc.open_file(pa.py_buffer(content)).read_all()
