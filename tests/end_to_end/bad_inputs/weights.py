"""Files of initial weights that hold no weights, or not those of the model."""

import collections
from pathlib import Path

import torch
from torch import nn

from negsift.common.data.audio.config import ClipForm
from negsift.common.models.config import ModelConfig
from negsift.common.models.psla import make_clip_model
from tests.end_to_end.bad_inputs.case import BAD_NAMES, NOT_UTF8, Case, Make, both, case, no_texts, not_files, written
from tests.unit.clips import write_folder

_TRAIN = "train audio-scenes data.root=in data.target=/m/high data.audio.seconds=1 data.audio.frames=64 data.audio.mels=32 data.val_share=0.2"
_FORM = ClipForm(64, 32, 0.0, 1.0)
_SAYS = r"(training clips.*|test clips.*|audio-scenes.*)\n"


def _clips() -> None:
    write_folder(Path("in"), 10, 10)


def _saved(content: object) -> Make:
    return both(_clips, lambda: torch.save(content, "w.pth"))


def _state(**changes: object) -> Make:
    """The model's own weights, but for these."""

    def make() -> None:
        whole = make_clip_model(ModelConfig("small_attention"), _FORM, 0).state_dict()
        first = next(iter(whole))
        _saved({**whole, **{first if name == "first" else name: value for name, value in changes.items()}})()

    return make


_CONTENTS = {
    "a list": [torch.zeros(1)], "a tensor": torch.zeros(3), "nothing": None, "an empty dict": {}, "texts": {"a": "b"},
    "dicts": {"a": {"b": torch.zeros(1)}}, "numbers for names": {1: torch.zeros(1)}, "other names": {"a": torch.zeros(1)},
    "a whole model": nn.Linear(2, 2), "code": collections.Counter, "an optimiser's state": {"state": {}, "param_groups": []},
    "the authors' first layer alone": {"_conv_stem.weight": torch.zeros(1)}, "another stem": {"features.0.0.weight": torch.zeros(2, 2)},
}  # fmt: skip
_CHANGES = {
    "another shape": {"first": torch.zeros(7)}, "a value too many": {"x": torch.zeros(1)}, "nan": {"head.attention.bias": torch.full((1,), torch.nan)},
}  # fmt: skip

CASES: dict[str, Case] = {
    **{f"weights of {kind}": case(f"{_TRAIN} model.weights=w.pth", r"w\.pth", _saved(content), says=_SAYS) for kind, content in _CONTENTS.items()},
    **{f"weights with {kind}": case(f"{_TRAIN} model.weights=w.pth", r"w\.pth", _state(**change), says=_SAYS) for kind, change in _CHANGES.items()},
    **{f"weights, {kind}": case(f"{_TRAIN} model.weights=w.pth", r"w\.pth", both(_clips, make), says=_SAYS)
       for kind, make in (*no_texts("w.pth"), *not_files("w.pth"), ("missing", lambda: None), ("not readable", both(written("w.pth", ""), lambda: Path("w.pth").chmod(0))))},
    **{f"weights in {kind}": Case((*_TRAIN.split(), f"model.weights={name}"), "found .*(unreadable|expected text in UTF-8)", _clips, says=_SAYS)
       for kind, name in {**BAD_NAMES, "no name in UTF-8": NOT_UTF8, "another user's folder": "~nobody-of-that-name/w"}.items()},
    "weights for images": case("train digits model.weights=w.pth", r"model\.weights"),
}  # fmt: skip
