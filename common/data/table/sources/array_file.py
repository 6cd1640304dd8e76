"""Reads the features of one bag from a npy, npz, h5 or pt file, and the places of its instances if the file has them.

Nothing in a file is run: pickled objects are refused, and pt files are read as torch's `weights_only` does. What a file
says of its size is compared with `MOST_BYTES` before it is unpacked.
"""

import io
import pickle
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from negsift.common.data.table.sources.tar_shards import Span
from negsift.common.errors import BadData
from negsift.common.regular_file import regular
from negsift.common.some_of import some_of

MOST_BYTES = 1 << 32
"""Of one bag, unpacked."""
COMMON_KEYS = ("features", "feats", "embeddings", "arr_0")
COORDS = "coords"
_ANY = "?"
T = TypeVar("T")
Content = Path | io.BytesIO
_DAMAGED = (
    OSError, ValueError, KeyError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile, pickle.UnpicklingError,
    tokenize.TokenError, zlib.error,
)  # fmt: skip
Arrays = Mapping[str, Any]
"""Arrays by name, each with `shape`, `dtype` and `nbytes`, perhaps not read yet. The only one of a file may be `?`."""


@dataclass(frozen=True)
class ArrayBag:
    """Features (n, D) of the file's dtype, and of its instances `coords` (n, 2) and `labels` (n,), or None."""

    features: NDArray[Any]  # Any: of the file's dtype
    coords: NDArray[Any] | None = None
    labels: NDArray[np.int8] | None = None

    def __post_init__(self) -> None:
        if self.coords is not None and self.coords.shape != (len(self.features), 2):
            found = f"{COORDS} of shape {self.coords.shape} for {len(self.features)} instances"
            raise BadData(found, "a place (x, y) for each instance", "repair the file")
        if self.labels is not None and len(self.labels) != len(self.features):
            found = f"{len(self.labels)} labels of instances for {len(self.features)} instances"
            raise BadData(found, "a label for each instance", "repair the file")


def read_bag(path: Path | Span, key: str | None = None) -> ArrayBag:
    """The bag in a file. Its features are the array `key`, or else the only one of a common name, or else the only one
    of two axes. Raises BadData for a file that is unreadable, has no such array or several, or is too large.
    """
    return _take(path, lambda arrays: _bag(arrays, key))


def read_numbers(path: Path) -> list[int]:
    """The different numbers in the only array of a file, ascending. Raises BadData as `read_bag`."""
    numbers = _take(path, lambda arrays: np.unique(_read(arrays, _only(arrays))))
    return [int(number) for number in _whole(numbers, path)]


def read_instance_labels(path: Path | Span) -> NDArray[np.int8]:
    """The numbers in the only array of a file, (n,) or (n, 1), from -128 to 127. Raises BadData as `read_bag`."""
    numbers = _whole(_take(path, lambda arrays: _read(arrays, _only(arrays))), path).ravel()
    if len(numbers) and not -128 <= numbers.min() <= numbers.max() <= 127:
        raise BadData(f"a label {numbers.max()} in {path}", "labels from -128 to 127", "repair or remove it")
    return numbers.astype(np.int8)


def _whole(numbers: NDArray[Any], path: Path | Span) -> NDArray[Any]:  # Any: of the file's dtype
    if numbers.dtype.kind not in "iufb" or not np.all(np.mod(numbers, 1) == 0):
        raise BadData(
            f"{numbers.dtype} {numbers.ravel()[:3].tolist()} in {path}", "whole numbers", "repair or remove it"
        )
    return numbers


def _take(path: Path | Span, take: Callable[[Arrays], T]) -> T:
    source = regular(path) if isinstance(path, Path) else io.BytesIO(path.read_bytes())
    try:
        taken: T = _READERS[path.suffix.lower()](source, take)
        return taken
    except BadData as error:
        raise BadData(f"{error.found} in {path}", error.expected, error.remedy) from None
    except _DAMAGED as error:
        # The text of numpy and of torch advises to unpickle the file, which may run any code.
        text = str(error) or type(error).__name__
        reason = "no array of numbers" if "pickle" in text.lower() or "weights_only" in text else text
        raise BadData(f"{path} unreadable ({reason:.200})", "features (n, D)", "repair or remove it") from None


def _bag(arrays: Arrays, key: str | None) -> ArrayBag:
    coords = arrays.get(COORDS)
    features = _two_axes(_read(arrays, _key(arrays, key)))
    if features.ndim == 1 and not features.size:
        features = features.reshape(0, 1)  # an empty bag has no width of its own
    if features.ndim != 2 or features.dtype.kind not in "iuf" or not features.shape[1]:
        raise BadData(f"{features.dtype}{features.shape}", "real numbers (n, D)", "repair or remove it")
    return ArrayBag(features, None if coords is None else _two_axes(_read(arrays, COORDS)))


def _key(arrays: Arrays, key: str | None) -> str:
    """The name of the array that has the features."""
    if key is not None and _ANY not in arrays:
        fitting = [key] if key in arrays else []
    else:
        common = [name for name in (*COMMON_KEYS, _ANY) if name in arrays]
        fitting = common or [name for name, array in arrays.items() if name != COORDS and _axes(array) == 2]
    if len(fitting) == 1:
        return fitting[0]
    held = some_of(f"{name} {tuple(array.shape)}" for name, array in arrays.items())
    found = f"no array {key!r}" if key else "no array of features" if not fitting else f"arrays {some_of(fitting)}"
    raise BadData(f"{found} among {held or 'nothing'}", "one with the features", "name it: key=NAME")


def _only(arrays: Arrays) -> str:
    if len(arrays) != 1:
        raise BadData(f"arrays {some_of(arrays)}", "one", "leave out the others")
    return next(iter(arrays))


def _axes(array: Any) -> int:  # Any: an item of `Arrays`
    shape = tuple(array.shape)
    return len(shape) - 1 if len(shape) == 3 and shape[0] == 1 else len(shape)


def _two_axes(array: NDArray[Any]) -> NDArray[Any]:  # Any: of the file's dtype
    """(1, n, D) as (n, D)."""
    return array[0] if array.ndim == 3 and len(array) == 1 else array


def _read(arrays: Arrays, name: str) -> NDArray[Any]:  # Any: as above
    size = int(np.prod(arrays[name].shape, dtype=np.float64)) * arrays[name].dtype.itemsize
    _require_size(size)
    return np.asarray(arrays[name])


def _require_size(size_bytes: int) -> None:
    if size_bytes > MOST_BYTES:
        raise BadData(f"an array of {size_bytes:,} bytes", f"at most {MOST_BYTES:,}", "divide the bag")


def _npy(path: Content, take: Callable[[Arrays], T]) -> T:
    if isinstance(path, io.BytesIO):
        _require_whole(path)
        return take({_ANY: np.load(path)})
    return take({_ANY: np.load(path, mmap_mode="r")})  # mapped, an array larger than its file is told at once


def _require_whole(content: io.BytesIO) -> None:
    """Raise ValueError for an array that is larger than what is there."""
    version = np.lib.format.read_magic(content)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(content)
    if int(np.prod(shape, dtype=np.float64)) * dtype.itemsize > content.getbuffer().nbytes:
        raise ValueError(f"an array of shape {shape} in {content.getbuffer().nbytes} bytes")
    content.seek(0)


def _npz(path: Content, take: Callable[[Arrays], T]) -> T:
    _require_size(sum(member.file_size for member in zipfile.ZipFile(path).infolist()))
    with np.load(path) as opened:
        return take({name: opened[name] for name in opened.files})


def _h5(path: Content, take: Callable[[Arrays], T]) -> T:
    try:
        import h5py  # imported here: only these files need it
    except ImportError:
        raise BadData("no h5py installed, and HDF5", "h5py", "pip install h5py, or convert to npz") from None

    with h5py.File(path) as opened:
        arrays = dict[str, Any]()  # Any: h5py has no types
        opened.visititems(lambda name, item: arrays.update({name: item}) if isinstance(item, h5py.Dataset) else None)
        return take(arrays)


def _pt(path: Content, take: Callable[[Arrays], T]) -> T:
    import torch  # imported here: only these files need it

    if zipfile.is_zipfile(path):
        _require_size(sum(member.file_size for member in zipfile.ZipFile(path).infolist()))
    if isinstance(path, io.BytesIO):
        path.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the pickle protocol, where there is another than torch's
        try:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            if "numpy" not in str(error):
                raise
            raise BadData("arrays of numpy", "tensors", "write torch.save(torch.from_numpy(...), ...)") from None
        except (LookupError, TypeError, AssertionError, AttributeError):  # what torch raises for a damaged pickle
            raise pickle.UnpicklingError("a damaged pickle") from None
    tensors = loaded if isinstance(loaded, dict) else {_ANY: loaded}
    if isinstance(loaded, (list, tuple)) and loaded and all(isinstance(item, torch.Tensor) for item in loaded):
        _require_size(sum(item.numel() * item.element_size() for item in loaded))
        tensors = {_ANY: torch.stack([item.squeeze(0) for item in loaded])}
    return take({str(name): _array(value) for name, value in tensors.items() if isinstance(value, torch.Tensor)})


def _array(tensor: Any) -> NDArray[Any]:  # Any: a tensor; an array of its dtype
    import torch

    _require_size(tensor.numel() * tensor.element_size())
    dense = tensor.detach().to_dense() if tensor.layout != torch.strided else tensor.detach()
    return np.asarray((dense.float() if dense.dtype == torch.bfloat16 else dense).numpy())


_READERS: dict[str, Callable[[Any, Any], Any]] = {  # Any: content, and what `take` gives
    ".npy": _npy, ".npz": _npz, ".h5": _h5, ".hdf5": _h5, ".pt": _pt, ".pth": _pt,
}  # fmt: skip
ENDINGS = tuple(_READERS)
"""Of the files that hold a bag."""
