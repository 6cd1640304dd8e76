"""The model in the form that a shard runs: its memory format, and compiled or not."""

import os
import shutil

import torch
from torch._subclasses import FakeTensorMode

from negsift.common.errors import BadInput
from negsift.common.models.adapt import AdaptedModule
from negsift.common.models.embedder import Embedder
from negsift.service.scoring.scoring_config import ScoringConfig


def prepare_model(model: Embedder, config: ScoringConfig) -> Embedder:
    """The same model, laid out and compiled as `config` asks; raises BadInput where no compiler is found."""
    if config.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    if config.compile:
        _require_compiler(next((p.device.type for p in model.parameters()), "cpu"))
        _let_threads_compile()
        backbone = model.module if isinstance(model, AdaptedModule) else model.encoder
        backbone.compile(dynamic=True)
    return model


def _require_compiler(device: str) -> None:
    compiler = os.environ.get("CXX", "g++")
    if device == "cpu" and shutil.which(compiler) is None:
        raise BadInput(
            f"fleet.scoring.compile=true without a C++ compiler ({compiler})", "one on every node that scores",
            "install g++, or set CXX, or leave it out",
        )  # fmt: skip


def _let_threads_compile() -> None:
    """Create, in a thread that lives on, the state that the first thread to trace without a GPU would own.

    If that thread ended, the next one to compile would crash the process (torch 2.11).
    """
    with FakeTensorMode():
        pass
