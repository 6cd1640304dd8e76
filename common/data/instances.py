"""Instances decoded once: uint8 images in a memory-mapped file beside their labels.

The table is written to a temporary folder and renamed, so a killed start leaves nothing half-made;
its folder's name is a hash of the source's content and of the decoding parameters.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from negsift.common.errors import BadData, BadInput


@dataclass(frozen=True)
class Instances:
    """Images (M, C, H, W) uint8 with labels (M,) and the classes' names.

    With a `path` the images are opened there, memory-mapped, on first use; only the path crosses
    to another process. `dropped` lists what could not be decoded, with the reason.
    """

    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    dropped: tuple[str, ...] = ()
    path: Path | None = None
    held: NDArray[np.uint8] | None = field(default=None, repr=False)

    @property
    def images(self) -> NDArray[np.uint8]:
        """The pixels, (M, C, H, W)."""
        if self.held is None:
            opened = np.load(str(self.path), mmap_mode="r")
            object.__setattr__(self, "held", opened)
            return opened  # type: ignore[no-any-return]  # numpy leaves np.load untyped
        return self.held

    def __getstate__(self) -> dict[str, Any]:  # Any: the pickle protocol
        return self.__dict__ | ({"held": None} if self.path else {})

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, rows: NDArray[np.int64]) -> "Instances":
        """Some rows, copied into memory."""
        return Instances(self.labels[rows], self.classes, self.dropped, held=self.images[rows])


Decode = Callable[[], Instances]


def decode_once(kind: str, sources: Iterable[Path], decode: Decode, **parameters: object) -> Instances:
    """`decode()`'s table, from the cache if the same sources were decoded before with the same parameters.

    What is broken in the cache is decoded anew; raises BadInput where the cache can't be written.
    """
    folder = cache_folder() / f"{kind}-{_fingerprint(sources, parameters)}"
    held = _open(folder)
    if held is None:
        _store(decode(), folder)
        held = _open(folder)
    if held is None:
        raise BadData(f"{folder} unreadable", "the table just written there", "check the disk")
    return held


def cache_folder() -> Path:
    """Where decoded tables lie: `$NEGSIFT_CACHE`, else the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "negsift"
    return Path(os.environ.get("NEGSIFT_CACHE", default))


UNDECODABLE = (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError, TypeError)
"""What Pillow raises for files that are no images, or broken ones."""


def why_not(error: Exception) -> str:
    """Why an image could not be decoded; Pillow itself repeats the file, or names an address in memory."""
    return "no image of a known form" if isinstance(error, UnidentifiedImageError) else str(error)


def require_half(kept: int, dropped: list[str], source: Path) -> None:
    """Raise BadData if more than half of the items of `source` could not be decoded."""
    if not kept and not dropped:
        raise BadData(f"no image in {source}", "some", "correct --set data.root")
    if len(dropped) > kept:
        raise BadData(
            f"{len(dropped)} of {kept + len(dropped)} images in {source} undecodable (first: {dropped[0]})",
            "at least half to decode",
            "repair the files or point --set data.root elsewhere",
        )


def require_labels(labels: NDArray[np.int64], classes: tuple[str, ...], source: Path) -> NDArray[np.int64]:
    """The labels, if they are numbers of the classes; raises BadData."""
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(classes):
        found = f"labels from {labels.min()} to {labels.max()} in {source}"
        raise BadData(found, f"numbers of the {len(classes)} classes, from 0", "correct the labels, or remove the rows")
    return labels


def _fingerprint(sources: Iterable[Path], parameters: dict[str, object]) -> str:
    digest = hashlib.blake2b(json.dumps(parameters, sort_keys=True, default=str).encode(), digest_size=10)
    for source in sources:
        digest.update(os.fsencode(source.name))
        try:
            with source.open("rb") as stream:
                while part := stream.read(1 << 20):
                    digest.update(part)
        except OSError as error:  # whoever decodes it meets the same and tells it
            digest.update(str(error.errno).encode())
    return digest.hexdigest()


def _open(folder: Path) -> Instances | None:
    try:
        described = json.loads((folder / "table.json").read_text())
        labels = np.load(folder / "labels.npy")
        classes, dropped = tuple(described["classes"]), tuple(described["dropped"])
        table = Instances(labels, classes, dropped, path=folder / "images.npy")
        return table if len(table.images) == len(labels) else None
    except (OSError, ValueError, KeyError, EOFError):
        return None


def _store(table: Instances, folder: Path) -> None:
    pixels = table.images
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as held:
            made = Path(held) / folder.name
            made.mkdir()
            np.save(made / "images.npy", pixels)
            np.save(made / "labels.npy", table.labels)
            described = {"classes": table.classes, "dropped": table.dropped}
            (made / "table.json").write_text(json.dumps(described))
            shutil.rmtree(folder, ignore_errors=True)
            made.rename(folder)
    except OSError as error:
        reason, size_mb = error.strerror or error, -(-pixels.nbytes // 2**20)
        raise BadInput(
            f"{folder.parent}, where decoded images are kept, not writable ({reason})",
            f"a folder with {size_mb:,} MiB free",
            "set the environment variable NEGSIFT_CACHE to one",
        ) from error
