"""CIFAR-10's official python batches: pickled dicts of pixels and labels."""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from negsift.common.data.instances import Instances, require_labels
from negsift.common.errors import BadData

_BROKEN = (pickle.UnpicklingError, OSError, EOFError, LookupError, AttributeError, TypeError, ValueError)


def read_batches(paths: Sequence[Path], classes: tuple[str, ...], side: int) -> Instances:
    """All batches as one table. Raises BadData naming the file that is not a batch."""
    parts = [_read(path, classes, side) for path in paths]
    images, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Instances(labels, classes, in_memory=images)


def _read(path: Path, classes: tuple[str, ...], side: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    try:
        with path.open("rb") as stream:
            batch = BatchUnpickler(stream, encoding="bytes").load()
        images = np.asarray(batch[b"data"], dtype=np.uint8).reshape(-1, 3, side, side)
        labels = np.asarray(batch[b"labels"], dtype=np.int64).reshape(len(images))
    except _BROKEN as error:
        raise BadData(f"{path} unreadable ({error})", "a CIFAR-10 python batch", "download it again") from None
    return images, require_labels(labels, classes, path)


class BatchUnpickler(pickle.Unpickler):
    """Creates numpy arrays and nothing else, because a downloaded pickle could run any code."""

    def find_class(self, module: str, name: str) -> Any:  # Any: the base class's own
        """The classes and functions that the batches need. Raises UnpicklingError for all others."""
        arrays = module.split(".")[0] == "numpy" and name in ("_reconstruct", "_frombuffer", "ndarray", "dtype")
        if arrays or (module, name) == ("_codecs", "encode"):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it contains a {module}.{name}")
