"""Files that torch.save wrote."""

import pickle
import struct
from pathlib import Path

import torch

from negsift.common.errors import BadData
from negsift.common.regular_file import regular

_DAMAGED = (
    OSError, RuntimeError, EOFError, LookupError, TypeError, ValueError, AttributeError, AssertionError, OverflowError,
    pickle.UnpicklingError, struct.error,
)  # fmt: skip
"""What torch raises for other content; a RecursionError is a RuntimeError."""


def load_tensors(path: Path) -> object:
    """What torch.save wrote to `path`: tensors, numbers, texts, lists and dicts of them; no other code is run.

    Raises BadData for a file that can't be read or has any other content.
    """
    source = regular(path)
    try:
        # weights_only: a pickle from elsewhere could run any code.
        content: object = torch.load(source, weights_only=True, map_location="cpu")
    except _DAMAGED as error:
        # torch puts its reason behind advice that does not apply here.
        reason = str(error).rpartition("WeightsUnpickler error: ")[2].strip().partition("\n")[0]
        found = f"{path} unreadable ({reason or type(error).__name__})"
        raise BadData(found, "what torch.save writes", "save it again") from None
    return content
