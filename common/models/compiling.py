"""A backbone through torch.compile, in place, for threads that may end."""

import os
import shutil

from torch import nn
from torch._subclasses import FakeTensorMode

from negsift.common.errors import BadInput


def compile_backbone(backbone: nn.Module, key: str) -> None:
    """Compile its passes, for batches of any size; names and weights stay. Raises BadInput, naming the setting `key`,
    where no compiler is found.
    """
    _require_compiler(next((p.device.type for p in backbone.parameters()), "cpu"), key)
    _let_threads_compile()
    backbone.compile(dynamic=True)


def _require_compiler(device: str, key: str) -> None:
    compiler = os.environ.get("CXX", "g++")
    if device == "cpu" and shutil.which(compiler) is None:
        raise BadInput(
            f"{key}=true without a C++ compiler ({compiler})", "one on every node that computes",
            "install g++, or set CXX, or leave it out",
        )  # fmt: skip


def _let_threads_compile() -> None:
    """Create, in a thread that lives on, the state that the first thread to trace without a GPU would own.

    If that thread ended, the next one to compile would crash the process (torch 2.11).
    """
    with FakeTensorMode():
        pass
