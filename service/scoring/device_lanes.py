"""The ways of data to a device and back, each of which goes on while the others do.

On a GPU bags come from page-locked memory over a stream of their own, results go back over another, and nobody waits
for the device but where a result is read. `HostLanes` does the same steps with a CPU's tensors, for tests.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch
from torch import Tensor

from negsift.common.arrays import Array
from negsift.common.gpu_arithmetic import IEEE, TF32, gpu_arithmetic
from negsift.common.models.embed import to_numpy, widened
from negsift.common.threads import torch_threads


class Download(Protocol):
    """Tensors on their way to main memory."""

    def arrays(self) -> list[list[Array]]:
        """Wait for them; each array owns its memory."""


class Mark(Protocol):
    """A moment in the work of a device."""

    def synchronize(self) -> None:
        """Wait until the device has come to it."""


class Lanes(Protocol):
    """The ways to one device and back."""

    device: torch.device

    def pin(self, tensor: Tensor) -> Tensor:
        """The tensor in memory that the device reads by itself; called by reader threads."""

    def upload(self, tensor: Tensor) -> Tensor:
        """The tensor on the device, which what is computed next waits for."""

    def running(self) -> AbstractContextManager[None]:
        """Within it this thread computes on the device."""

    def mark(self) -> Mark:
        """The end of what has been asked of the device so far."""

    def download(self, rows: Sequence[Sequence[Tensor]]) -> Download:
        """Begin to fetch tensors."""

    def release(self) -> None:
        """Give memory that is free back to the device."""


class CudaLanes:
    """Those of a GPU: one stream there, one back; computation is on the current stream of the calling thread."""

    def __init__(self, device: torch.device, tf32: bool = False) -> None:
        """With `tf32` float32 products are rounded to it."""
        self.device, self._arithmetic = device, TF32 if tf32 else IEEE
        new_stream: Callable[[torch.device], torch.cuda.Stream] = torch.cuda.Stream  # which torch leaves untyped
        self._there, self._back = new_stream(device), new_stream(device)

    def pin(self, tensor: Tensor) -> Tensor:
        """A copy in page-locked memory; torch keeps it from being used again before a copy out of it is done."""
        return tensor.pin_memory() if tensor.device.type == "cpu" else tensor

    def upload(self, tensor: Tensor) -> Tensor:
        """Copy without waiting. The memory is given to another batch only after the computation that reads it."""
        with torch.cuda.stream(self._there):
            moved = tensor.to(self.device, non_blocking=True)
        current = torch.cuda.current_stream(self.device)
        current.wait_stream(self._there)
        moved.record_stream(current)
        return moved

    @contextmanager
    def running(self) -> Iterator[None]:
        """Make the GPU this thread's current one, and set how it computes what it is asked for here."""
        with torch.cuda.device(self.device), gpu_arithmetic(self._arithmetic):
            yield

    def mark(self) -> Mark:
        """An event on the current stream."""
        event: Mark = torch.cuda.current_stream(self.device).record_event()
        return event

    def download(self, rows: Sequence[Sequence[Tensor]]) -> Download:
        """Begin copies to page-locked memory, which follow what is computed so far and not what comes later."""
        self._back.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self._back):
            host = [[widened(part).to("cpu", non_blocking=True) for part in parts] for parts in rows]
        return _CudaDownload(rows, host, self._back.record_event())

    def release(self) -> None:
        """Return cached memory to the driver, for other processes."""
        torch.cuda.empty_cache()


class _CudaDownload:
    def __init__(self, source: Sequence[Sequence[Tensor]], host: list[list[Tensor]], done: Mark) -> None:
        self._source: Sequence[Sequence[Tensor]] = source  # held until it is copied
        self._host, self._done = host, done

    def arrays(self) -> list[list[Array]]:
        self._done.synchronize()
        self._source = ()
        return [[part.contiguous().numpy().copy() for part in parts] for parts in self._host]


class HostLanes:
    """The same steps on a CPU, whose tensors are where they should be; one thread computes, as for any block there."""

    device = torch.device("cpu")

    def pin(self, tensor: Tensor) -> Tensor:
        """The tensor itself."""
        return tensor

    def upload(self, tensor: Tensor) -> Tensor:
        """The tensor itself."""
        return tensor

    def running(self) -> AbstractContextManager[None]:
        """Compute on one thread."""
        return torch_threads(1)

    def mark(self) -> Mark:
        """Now."""
        return _Done()

    def download(self, rows: Sequence[Sequence[Tensor]]) -> Download:
        """The tensors as arrays."""
        return _Fetched([[to_numpy(part) for part in parts] for parts in rows])

    def release(self) -> None:
        """Nothing is kept."""


class _Done:
    def synchronize(self) -> None:
        pass


class _Fetched:
    def __init__(self, values: list[list[Array]]) -> None:
        self._values = values

    def arrays(self) -> list[list[Array]]:
        return self._values


def lanes_to(device: torch.device, precision: str) -> Lanes | None:
    """The lanes to a GPU, with its scoring `precision`; None for a CPU, on which several threads embed a block each."""
    return CudaLanes(device, precision == "tf32") if device.type == "cuda" else None
