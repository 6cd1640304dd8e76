"""Every key of every command with values that it can't take."""

import types
from collections.abc import Iterator
from typing import Any

from negsift.common.config import Bounds
from negsift.common.data.table.sources.source import BuildConfig
from negsift.common.overrides import _settable
from negsift.deploy.recipes import RECIPES
from negsift.deploy.run_config import RunConfig
from negsift.service.config import FleetConfig
from tests.end_to_end.bad_inputs.case import Case

_BASES = {"train digits": RunConfig, "serve up out": FleetConfig, "pool build out --from in": BuildConfig}
_SHARE = {"train digits": 4, "serve up out": 1, "pool build out --from in": 1}
"""The values tried of each key: all commands read them by the same functions."""
_WRONG: dict[type, tuple[str, ...]] = {
    int: ("1.5", "x", "nan", "9" * 5000, "½", "", "1 2"),
    float: ("1e999", "nan", "x", "-inf", "1,5", "½", ""),
    bool: ("2", "maybe", "", "nan"),
}
_CHOICES = ("strategy.name", "strategy.label", "strategy.engine", "model.name", "model.pooling", "data.name")
_CHOICES += ("data.audio.train_set", "data.audio.stats", "fleet.kind", "fleet.scoring.precision", "dtype", "train_set")
"""Texts that must be one of some. Other texts are names of files or classes, of which any may be there."""
_MISSPELT = ("", "é", "random,badge", "\0", "x" * 5000)


def _keys(kind: type, prefix: str = "") -> Iterator[tuple[str, Any, Bounds]]:
    """The dotted key, the type and the bounds of everything that can be set."""
    for name, (hint, line) in _settable(kind).items():
        if line:
            field = kind.__dataclass_fields__[name]
            yield f"{prefix}{name}", hint, field.metadata["bounds"]
        else:
            yield from _keys(hint, f"{prefix}{name}.")


def _wrong(key: str, hint: Any, bounds: Bounds) -> Iterator[str]:
    optional = isinstance(hint, types.UnionType)
    plain = hint.__args__[0] if optional else hint
    if key in _CHOICES:
        yield from _MISSPELT
    if plain in (int, float):
        yield from (f"{edge:g}" for edge in _outside(bounds) if abs(edge) < 1e9)
    yield from (text for text in _WRONG.get(plain, ()) if text or not optional)


def _outside(bounds: Bounds) -> Iterator[float]:
    yield bounds.least - 1
    yield bounds.above
    yield bounds.below


_CALLED = {"data.name": "dataset", "model.name": "model", "strategy.name": "strategy"}
"""What messages call the keys that the names of others are not enough for."""


def _names(key: str) -> str:
    return _CALLED.get(key, key.rpartition(".")[2])


CASES: dict[str, Case] = {
    f"{command.split()[0]} {key}={text[:9]!r}": Case((*command.split(), f"{key}={text}"), _names(key))
    for command, kind in _BASES.items()
    for key, hint, bounds in _keys(kind)
    for text in tuple(_wrong(key, hint, bounds))[: _SHARE[command]]
} | {
    f"{name} {setting}": Case(("train", name, setting), _names(setting.partition("=")[0]))
    for name in RECIPES
    if name != "table"  # its model is checked with its bags
    for setting in ("seed=x", "training.lr=nan", "strategy.name=bagde", "model.name=vgg", "data.name=x", "sead=1")
}
