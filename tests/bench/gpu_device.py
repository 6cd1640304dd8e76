"""The device that a GPU benchmark runs on: a GPU, or a CPU that pretends to be one."""

import contextlib
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from unittest.mock import patch

import torch

from negsift.common.gpu_arithmetic import IEEE, TF32, gpu_arithmetic
from negsift.service.scoring.device_lanes import HostLanes
from tests.bench.gpu_sizes import FULL, PRETEND


class Bench:
    """A device, the sizes that suit it, and its clock."""

    def __init__(self, pretend: bool) -> None:
        self.pretend, self.sizes = pretend, PRETEND if pretend else FULL
        self.device = torch.device("cpu" if pretend else "cuda")

    @contextlib.contextmanager
    def scoring(self) -> Iterator[None]:
        """Within it samplers take the path of a GPU, also where there is none."""
        if not self.pretend:
            yield
            return
        with patch("negsift.service.scoring.shard.lanes_to", lambda *_: HostLanes()):
            yield

    def arithmetic(self, precision: str) -> contextlib.AbstractContextManager[None]:
        """Within it a GPU rounds products as a sampler of that precision has it."""
        return contextlib.nullcontext() if self.pretend else gpu_arithmetic(TF32 if precision == "tf32" else IEEE)

    def wait(self) -> None:
        """Until the device has done all it was asked."""
        if not self.pretend:
            torch.cuda.synchronize()

    def seconds(self, work: Callable[[], object], turns: int | None = None) -> float:
        """The median time of `work` in some turns, after one that warms up."""
        times = []
        for _ in range((turns or self.sizes.times) + 1):
            self.wait()
            start = time.perf_counter()
            work()
            self.wait()
            times.append(time.perf_counter() - start)
        return statistics.median(times[1:])


def machine(pretend: bool) -> str:
    """The device and torch's version, in words."""
    name = "a CPU that pretends" if pretend else torch.cuda.get_device_name()
    return f"{name}, torch {torch.__version__}"


@contextlib.contextmanager
def utilisation() -> Iterator[Callable[[], str]]:
    """Within it nvidia-smi looks at the GPU ten times a second; the function gives the mean of what it saw, or a dash."""
    program = shutil.which("nvidia-smi")
    if program is None:
        yield lambda: "—"
        return
    command = [program, "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "--id=0", "-lms", "100"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def mean() -> str:
        process.terminate()
        told = process.communicate()[0].split()
        seen = [float(word) for word in told if word.isdecimal()]
        return f"{statistics.mean(seen):.0f} %" if seen else "—"

    try:
        yield mean
    finally:
        process.kill()
        process.wait()
