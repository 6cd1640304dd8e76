"""Images that can't be decoded: the exceptions, the reason as text, and how many of them are tolerated."""

import warnings
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from negsift.common.errors import BadData

UNDECODABLE = (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError, TypeError)
"""What Pillow raises for damaged images and for files that are no images."""


# Metadata may be broken where the pixels are whole. Set once: changing it for each image would not be thread-safe.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.TiffImagePlugin")


def decode_fault(error: Exception) -> str:
    """Why an image could not be decoded. Pillow's own text for an unknown format contains a memory address."""
    if isinstance(error, BadData):
        return error.found
    return "unknown image format" if isinstance(error, UnidentifiedImageError) else str(error)


def require_mostly_decoded(kept: int, dropped: list[str], source: Path) -> None:
    """Raise BadData if `source` has no images, or if more were `dropped` than `kept`."""
    if not kept and not dropped:
        raise BadData(f"no image in {source}", "at least one", "correct data.root")
    if len(dropped) > kept:
        found = f"{len(dropped)} of {kept + len(dropped)} images in {source} undecodable (first: {dropped[0]})"
        raise BadData(found, "at least half to decode", "repair the files or point data.root elsewhere")
