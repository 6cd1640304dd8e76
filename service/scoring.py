"""How a shard runs the model: in which precision and layout, compiled or not, and what it keeps between rounds."""

import os
import shutil
from dataclasses import dataclass

import torch
from torch._subclasses import FakeTensorMode

from common.config import knob
from common.errors import BadInput, UnknownName
from common.knobs import check_knobs
from common.models.adapt import AdaptedModule, Embedder

PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class ScoringConfig:
    """Ways to score more cheaply. All but `frozen` and `pinned` change scores in their last bits, and so may change
    the picks; shards and fleets still make no difference.
    """

    precision: str = knob("float32", "the backbone's, in scoring: float32 or bfloat16; the head stays in float32")
    channels_last: bool = knob(False, "images laid out with their channels last")
    compile: bool = knob(False, "backbone through torch.compile; on a CPU it needs a C++ compiler")
    pinned: bool = knob(False, "bags go to a GPU through page-locked memory, without waiting")
    frozen: bool = knob(False, "keep the backbone's features, within cache_mb, while its weights stay the same")

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UnknownName("fleet.scoring.precision", self.precision, PRECISIONS)
        check_knobs(self, "fleet.scoring")

    @property
    def split(self) -> bool:
        """Whether backbone and head are run one after the other, and not the model as a whole."""
        return self.frozen or self.precision != "float32"

    @property
    def line(self) -> str:
        """What differs from the plain way, in words; nothing if nothing does."""
        switches = ("channels_last", "compile", "pinned", "frozen")
        told = [self.precision, *(name for name in switches if getattr(self, name))]
        return ", ".join(told if self.precision != "float32" else told[1:])

    def prepare(self, model: Embedder) -> Embedder:
        """The same model, in this layout and compiled if so wanted; raises BadInput where it can't be."""
        if self.channels_last:
            model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        if self.compile:
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
    """Set up here, in a thread that lives on, what the first thread to trace without a GPU would own.

    Once that one ended, the next to compile would crash the process (torch 2.11).
    """
    with FakeTensorMode():
        pass
