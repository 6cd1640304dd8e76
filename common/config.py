"""Configuration as frozen dataclasses: overriding by dotted key, and going to and from plain dicts.

Each part of the system defines the dataclass of its own knobs; a recipe is a function that returns
them together; `--set a.b=value` reaches every field through `override`.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from negsift.common.errors import BadInput, UnknownName
from negsift.common.knobs import Bounds

T = TypeVar("T")

_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def knob(  # Any: dataclasses.field is typed so, too
    default: Any, line: str, *, least: float = -math.inf, above: float = -math.inf, below: float = math.inf
) -> Any:
    """A dataclass field with its default, the one line that `list` and errors show, and a number's bounds."""
    return dataclasses.field(default=default, metadata={"line": line, "bounds": Bounds(least, above, below)})


def override(config: T, settings: Iterable[str]) -> T:
    """The config with every `a.b=value` of `settings` applied, in order.

    Raises BadInput for a malformed setting or a value of the wrong type, UnknownName for a key.
    """
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise BadInput(f"--set {setting!r}", "KEY=VALUE", "for example --set strategy.name=badge")
        config = _replace(config, key.strip().split("."), text.strip(), key.strip())
    return config


def to_dict(config: object) -> dict[str, Any]:  # Any: JSON
    """Nested plain dicts, ready for JSON."""
    return dataclasses.asdict(config)  # type: ignore[call-overload, no-any-return]  # T is a dataclass


def from_dict(kind: type[T], values: Mapping[str, Any]) -> T:  # Any: JSON
    """The config that `to_dict` wrote; keys of another version raise UnknownName."""
    known = {field.name: field for field in _fields(kind)}
    for name in values:
        if name not in known:
            raise UnknownName("configuration key", name, known)
    hints = typing.get_type_hints(kind)
    built = {
        name: from_dict(hints[name], value) if dataclasses.is_dataclass(hints[name]) else _from_json(value)
        for name, value in values.items()
    }
    return kind(**built)


def values(config: object, prefix: str = "") -> dict[str, str]:
    """Every dotted key below a config, with its value as `--set` takes it."""
    found: dict[str, str] = {}
    for name in _settable(type(config)):
        value = getattr(config, name)
        nested = dataclasses.is_dataclass(value)
        found |= values(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": _spell(value)}
    return found


def keys(kind: type[object], prefix: str = "") -> dict[str, str]:
    """Every dotted key below a config class, with its line of explanation."""
    found: dict[str, str] = {}
    hints = typing.get_type_hints(kind)
    for name, field in _settable(kind).items():
        nested = dataclasses.is_dataclass(hints[name])
        found |= keys(hints[name], f"{prefix}{name}.") if nested else {f"{prefix}{name}": field.metadata["line"]}
    return found


def _replace(config: T, path: list[str], text: str, key: str) -> T:
    name, rest = path[0], path[1:]
    hints = typing.get_type_hints(type(config))
    if name not in _settable(type(config)):
        raise UnknownName(f"key (in {key!r})", name, _settable(type(config)))
    value = getattr(config, name)
    if dataclasses.is_dataclass(value) and rest:
        return dataclasses.replace(config, **{name: _replace(value, rest, text, key)})  # type: ignore[type-var]  # T is a dataclass
    if rest or dataclasses.is_dataclass(value):
        below = ", ".join(keys(type(value), f"{name}.")) if dataclasses.is_dataclass(value) else name
        raise BadInput(f"key {key!r}", f"a key such as {below}", "set a single value")
    return dataclasses.replace(config, **{name: parse(text, hints[name], key)})  # type: ignore[type-var]  # same


def parse(text: str, kind: Any, key: str) -> Any:  # Any: typing has no type for annotations
    """`text` as a value of the annotated type `kind`: bool, int, float, str, X | None, tuple[X, ...]."""
    if isinstance(kind, types.UnionType):
        if text.lower() in ("none", ""):
            return None
        return parse(text, next(arg for arg in kind.__args__ if arg is not type(None)), key)
    if typing.get_origin(kind) is tuple:
        return tuple(parse(part, typing.get_args(kind)[0], key) for part in text.split(","))
    try:
        return _TRUTH[text.lower()] if kind is bool else kind(text)
    except (ValueError, KeyError):
        raise BadInput(f"{key}={text!r}", f"a value of type {kind.__name__}", "correct --set") from None


def _from_json(value: Any) -> Any:  # Any: JSON
    return tuple(value) if isinstance(value, list) else value


def _spell(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_spell, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _settable(kind: type[object]) -> dict[str, dataclasses.Field[Any]]:  # Any: fields of any type
    """The fields that `--set` reaches: knobs, and configs that hold some."""
    hints = typing.get_type_hints(kind)
    named = {field.name: field for field in _fields(kind)}
    return {name: f for name, f in named.items() if "line" in f.metadata or dataclasses.is_dataclass(hints[name])}


def _fields(kind: type[object]) -> tuple[dataclasses.Field[Any], ...]:  # Any: fields of any type
    return dataclasses.fields(kind)  # type: ignore[arg-type]  # callers pass dataclasses only
