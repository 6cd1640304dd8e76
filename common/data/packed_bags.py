"""Bags in memory as one array: a batch is cut out of it, and the scorers of one node read one copy of it.

A list of tensors is packed when it is sent: each view of a large tensor would be sent with all of that tensor.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Subset, TensorDataset

from negsift.common.arrays import Index
from negsift.common.data.bagset import BagBatch
from negsift.common.data.protocols import BagDataset
from negsift.common.data.reused_buffer import ReusedBuffer


@dataclass(frozen=True)
class PackedBags:
    """Bags in one array: (n, instances, ...) of equal ones, or (total, ...) with bag i from `starts[i]` to its next.

    Bag i of the dataset is number `order[i]` of them, if there is an order. `is_bfloat16` arrays hold its bits, since
    numpy has no such type; `gives_arrays` says in which form single bags are wanted.
    """

    array: NDArray[Any]  # Any: of the user's dtype
    starts: Index | None = None
    order: Index | None = None
    is_bfloat16: bool = False
    gives_arrays: bool = False

    def __len__(self) -> int:
        if self.order is not None:
            return len(self.order)
        return len(self.array) if self.starts is None else len(self.starts) - 1

    def __getitem__(self, position: int, /) -> Tensor | NDArray[Any]:
        """A copy of one bag, in the form in which it was given."""
        if not -len(self) <= position < len(self):
            raise IndexError(position)
        copy = self._rows(np.array([position % len(self)]))
        bag = copy[0] if self.starts is None else copy
        return bag if self.gives_arrays else self._tensor(bag)

    @property
    def equal(self) -> bool:
        """Whether all bags have the same number of instances."""
        return self.starts is None

    def gather(self, index: Index, ragged: bool) -> BagBatch | Tensor:
        """A copy of the bags at `index`: end to end if `ragged`, else (n, instances, ...), of equal ones."""
        tensor = self._tensor(self._rows(index))
        if not ragged:
            assert self.equal
            return tensor
        if self.equal:
            return BagBatch(tensor.flatten(0, 1), np.full(len(index), tensor.shape[1]))
        return BagBatch(tensor, self._sizes(index))

    def copy_into(self, buffer: ReusedBuffer, index: Index) -> Tensor:
        """The equal bags at `index`, (n, instances, ...), in this thread's memory of `buffer`, until its next use."""
        assert self.equal
        rows = index if self.order is None else self.order[index]
        copy = buffer.of((len(rows), *self.array.shape[1:]), self.array.dtype)
        if _is_run(rows):
            np.copyto(copy, self.array[rows[0] : rows[-1] + 1])
        else:
            np.take(self.array, rows, axis=0, out=copy, mode="clip")  # not "raise", which would copy once more
        return self._tensor(copy)

    def contiguous(self) -> "PackedBags":
        """The same bags in an array that has them alone, in their order."""
        if self.order is None:
            return dataclasses.replace(self, array=np.ascontiguousarray(self.array))
        everything = np.arange(len(self))
        starts = None if self.starts is None else _starts(self._sizes(everything))
        return dataclasses.replace(self, array=self._rows(everything), starts=starts, order=None)

    def _sizes(self, index: Index) -> Index:
        assert self.starts is not None
        rows = index if self.order is None else self.order[index]
        return self.starts[rows + 1] - self.starts[rows]

    def _rows(self, index: Index) -> NDArray[Any]:
        """A copy of the instances of the bags at `index`; equal bags keep their axis."""
        rows = index if self.order is None else self.order[index]
        if self.starts is None:
            return self.array[rows[0] : rows[-1] + 1].copy() if _is_run(rows) else self.array[rows]
        if _is_run(rows):
            return self.array[self.starts[rows[0]] : self.starts[rows[-1] + 1]].copy()
        parts = [self.array[self.starts[row] : self.starts[row + 1]] for row in rows]
        return np.concatenate(parts) if parts else self.array[:0].copy()

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(array)
        return tensor.view(torch.bfloat16) if self.is_bfloat16 else tensor


def _is_run(rows: Index) -> bool:
    """Whether the rows follow one another; not so for none."""
    return len(rows) > 0 and rows[-1] - rows[0] + 1 == len(rows) and bool((np.diff(rows) == 1).all())


def in_memory(dataset: BagDataset) -> BagDataset:
    """The bags of a tensor, an array, a TensorDataset, a list of one tensor's rows, or a Subset of these, packed.

    Nothing is copied. Other datasets stay as they are, as do those in which something is no bag.
    """
    if isinstance(dataset, Subset):
        packed = in_memory(cast("BagDataset", dataset.dataset))  # torch's base class has no len()
        if isinstance(packed, PackedBags) and packed.order is None:
            return dataclasses.replace(packed, order=np.asarray(dataset.indices, dtype=np.int64))
        return dataset
    whole: object = dataset.tensors[0] if isinstance(dataset, TensorDataset) and dataset.tensors else dataset
    array = _array(_viewed(dataset) if isinstance(dataset, (list, tuple)) else whole)
    if array is None or array.ndim < 3 or not array.shape[1]:
        return dataset
    return PackedBags(array, None, None, _is_bfloat16(whole), isinstance(whole, np.ndarray))


def to_send(dataset: BagDataset) -> BagDataset:
    """What a dataset is sent as: packed, if it is so or a list of tensors or arrays; no view takes its whole along."""
    if isinstance(dataset, PackedBags):
        return dataset.contiguous()
    if not isinstance(dataset, (list, tuple)):
        return dataset
    return _packed(dataset) or [independent(item) for item in dataset]


def independent(item: Any) -> Any:  # Any: the user's own form of a bag
    """The item with a copy of each view in it that is much smaller than what it is a view of."""
    if type(item) in (tuple, list):
        return type(item)(independent(part) for part in item)
    if isinstance(item, Tensor) and item.layout == torch.strided and item.untyped_storage().nbytes() > 2 * item.nbytes:
        return item.clone()
    return item


def _packed(items: Sequence[Any]) -> PackedBags | None:  # Any: the user's own form of a bag
    """The items in one array, if all are bags of one kind."""
    arrays = [_array(item) for item in items]
    bags = [array for array in arrays if array is not None and array.ndim >= 2 and len(array)]
    kinds = {(type(item), item.dtype, bag.shape[1:]) for item, bag in zip(items, bags, strict=False)}
    if not bags or len(bags) < len(items) or len(kinds) > 1 or len({id(item) for item in items}) < len(items):
        return None  # also where an item is in the list more than once, and is sent once
    sizes = np.array([len(bag) for bag in bags])
    equal = bool((sizes == sizes[0]).all())
    array, starts = (np.stack(bags), None) if equal else (np.concatenate(bags), _starts(sizes))
    return PackedBags(array, starts, None, _is_bfloat16(items[0]), isinstance(items[0], np.ndarray))


def _viewed(items: Sequence[object]) -> Tensor | None:
    """The tensor whose rows the items are, one after another, if there is one."""
    first = items[0] if items else None
    if not isinstance(first, Tensor) or first.layout != torch.strided or first.ndim < 2 or not first.is_contiguous():
        return None
    shape, dtype, step = first.shape, first.dtype, first.nbytes
    if first.untyped_storage().nbytes() - first.storage_offset() * first.itemsize < step * len(items):
        return None
    for address, item in zip(itertools.count(first.data_ptr(), step), items):
        if type(item) is not Tensor or item.data_ptr() != address or not item.is_contiguous():
            return None
        if item.shape != shape or item.dtype != dtype:
            return None
    return first.as_strided((len(items), *shape), (first.numel(), *first.stride()))


def _array(bags: object) -> NDArray[Any] | None:  # Any: of the user's dtype
    """An array of numbers, or one that shares the memory of a CPU's plain tensor; None for anything else."""
    if isinstance(bags, np.ndarray):
        return bags if bags.dtype.kind in "biuf" and bags.dtype.isnative and 0 not in bags.strides else None
    if type(bags) is not Tensor or bags.layout != torch.strided or bags.device.type != "cpu" or bags.is_conj():
        return None
    if 0 in bags.stride():  # expanded: its numbers take no memory, as an array they would
        return None
    plain = bags.detach()
    if _is_bfloat16(bags):
        return plain.view(torch.int16).numpy()
    try:
        return plain.numpy()
    except TypeError:  # numpy has no such type
        return None


def _is_bfloat16(bags: object) -> bool:
    return isinstance(bags, Tensor) and bags.dtype == torch.bfloat16


def _starts(sizes: Index) -> Index:
    """Where bags of these sizes begin, end to end, and the end of the last."""
    return np.concatenate([[0], np.cumsum(sizes)])
