"""Labelled images, decoded once and then memory-mapped from a cache.

The folder's name is a hash of the source's content and of the decoding parameters.
"""

import functools
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from negsift.common.data.cache_folder import cache_folder
from negsift.common.errors import BadData, BadInput
from negsift.common.regular_file import regular
from negsift.common.unfinished import replacing_folder


@dataclass(frozen=True)
class Instances:
    """Images (M, C, H, W) uint8 with labels (M,), and the names of the classes. With a `path` the images are
    memory-mapped from that file on first use, and only the path is pickled. `dropped` has a line for each image that
    could not be decoded, with the reason.
    """

    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    dropped: tuple[str, ...] = ()
    path: Path | None = None
    in_memory: NDArray[np.uint8] | None = field(default=None, repr=False)

    @property
    def images(self) -> NDArray[np.uint8]:
        """The pixels, (M, C, H, W)."""
        if self.in_memory is not None:
            return self.in_memory
        opened: NDArray[np.uint8] = np.load(str(self.path), mmap_mode="r")
        object.__setattr__(self, "in_memory", opened)
        return opened

    @functools.cached_property
    def content(self) -> str:
        """What identifies the images: their folder's name, a hash of where they come from, or a hash of the pixels."""
        if self.path is not None:
            return self.path.parent.name
        pixels = np.ascontiguousarray(self.images)
        return f"{pixels.shape} {hashlib.blake2b(pixels.data, digest_size=16).hexdigest()}"

    def __getstate__(self) -> dict[str, Any]:  # Any: the pickle protocol
        return self.__dict__ | ({"in_memory": None} if self.path else {})

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, rows: NDArray[np.int64]) -> "Instances":
        """Some rows, copied into memory."""
        return Instances(self.labels[rows], self.classes, self.dropped, in_memory=self.images[rows])


def decode_once(kind: str, sources: Iterable[Path], decode: Callable[[], Instances], **parameters: object) -> Instances:
    """The result of `decode`, from the cache if the same sources were decoded with the same parameters before. A
    damaged cache entry is decoded again. Raises BadInput if the cache can't be written.
    """
    folder = cache_folder() / f"{kind}-{_fingerprint(sources, parameters)}"
    table = _open(folder)
    if table is None:
        _store(decode(), folder)
        table = _open(folder)
    if table is None:
        raise BadData(f"{folder} unreadable", "the table that was just written there", "check the disk")
    return table


def require_labels(labels: NDArray[np.int64], classes: tuple[str, ...], source: Path) -> NDArray[np.int64]:
    """The labels. Raises BadData if they are not numbers of the classes."""
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(classes):
        found = f"labels from {labels.min()} to {labels.max()} in {source}"
        raise BadData(found, f"numbers of the {len(classes)} classes, from 0", "correct the labels, or remove the rows")
    return labels


def _fingerprint(sources: Iterable[Path], parameters: dict[str, object]) -> str:
    digest = hashlib.blake2b(json.dumps(parameters, sort_keys=True, default=str).encode(), digest_size=10)
    # Content, not modification times: copies and re-extracted archives then share one table.
    for source in sources:
        digest.update(os.fsencode(source.name))
        try:
            with regular(source).open("rb") as stream:
                while part := stream.read(1 << 20):
                    digest.update(part)
        except (OSError, BadData) as error:  # decoding will fail on the same file and report it
            digest.update(str(error).encode())
    return digest.hexdigest()


def _digest(labels: NDArray[np.int64]) -> str:
    return hashlib.blake2b(np.ascontiguousarray(labels).data, digest_size=10).hexdigest()


def _open(folder: Path) -> Instances | None:
    try:
        described = json.loads((folder / "table.json").read_text())
        labels = np.load(folder / "labels.npy")
        if described["labels"] != _digest(labels):
            return None
        classes, dropped = tuple(described["classes"]), tuple(described["dropped"])
        table = Instances(labels, classes, dropped, path=folder / "images.npy")
        return table if len(table.images) == len(labels) else None
    except (OSError, ValueError, KeyError, EOFError, TypeError, RecursionError):
        return None


def _store(table: Instances, folder: Path) -> None:
    pixels = table.images
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with replacing_folder(folder) as unfinished:
            np.save(unfinished / "images.npy", pixels)
            np.save(unfinished / "labels.npy", table.labels)
            described = {"classes": table.classes, "dropped": table.dropped, "labels": _digest(table.labels)}
            (unfinished / "table.json").write_text(json.dumps(described))
            # A damaged folder of that name would make the rename fail.
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        reason, size_mb = error.strerror or error, -(-pixels.nbytes // 2**20)
        found = f"{folder.parent}, where decoded images are kept, not writable ({reason})"
        remedy = "set the environment variable NEGSIFT_CACHE to one"
        raise BadInput(found, f"a folder with {size_mb:,} MiB free", remedy) from error
