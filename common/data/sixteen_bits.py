"""Images of 16 bits: scaled to 8 bits, and counted where they use little of their range."""

import logging

import numpy as np
from PIL import Image

log = logging.getLogger(__name__)
_FAINT = 1 << 12


def eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey scaled to 8 bits, which Pillow would clip at 255; a palette with transparency as RGBA. Raises
    ValueError for pixels of other depths.
    """
    if image.mode == "P" and image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode[0] not in "IF":
        return image
    deep = np.asarray(image)
    if image.mode == "F" or deep.min() < 0 or deep.max() >= 1 << 16:
        raise ValueError(f"pixels of {deep.dtype} from {deep.min():g} to {deep.max():g}, not of 8 or 16 bits")
    return Image.fromarray((deep >> 8).astype(np.uint8))


class FaintImages:
    """Counts images of 16 bits whose largest value is below 4,096, as cameras of 12 bits write them: scaled to 8 bits
    they are nearly black.
    """

    def __init__(self) -> None:
        self._count, self._first = 0, ""

    def look(self, image: Image.Image, name: str) -> None:
        """Count an image if it is such a one."""
        if image.mode[0] == "I" and np.asarray(image).max() < _FAINT:
            self._count, self._first = self._count + 1, self._first or name

    @property
    def remark(self) -> str:
        """How many there were; empty for none."""
        if not self._count:
            return ""
        return (
            f"{self._count} images of 16 bits have no value above 4,095 (such as {self._first}) and will be nearly "
            "black; if they are of 12 bits, multiply their values by 16"
        )

    def report(self) -> None:
        """Say once how many there were."""
        if self.remark:
            log.warning(self.remark)
