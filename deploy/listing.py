"""`negsift list`: the tables of names and keys, each with a line of explanation."""

from collections.abc import Callable, Mapping

from negsift.common.config import AUTO
from negsift.common.data.config import DATASETS
from negsift.common.data.table.sources.source import SOURCES, BuildConfig
from negsift.common.errors import UnknownName
from negsift.common.models.config import CLIP_MODELS, MODELS, POOLINGS, USUAL, VECTOR_MODELS
from negsift.common.overrides import T, keys, values
from negsift.deploy.recipes import RECIPES
from negsift.deploy.run_config import RunConfig
from negsift.deploy.studies import STUDIES
from negsift.service.strategies import STRATEGIES
from negsift.trainer.config import METRICS

DEFAULT = RunConfig("")
PARTS: dict[str, tuple[str, Callable[[], Mapping[str, str]]]] = {
    "recipes": ("of `train`", lambda: {name: _first_line(make) + _changes(make()) for name, make in RECIPES.items()}),
    "studies": ("of `sweep`", lambda: {name: _first_line(make) for name, make in STUDIES.items()}),
    "strategies": ("strategy.name", lambda: {name: _first_line(kind) for name, kind in STRATEGIES.items()}),
    "datasets": ("data.name", lambda: DATASETS),
    "models": ("model.name", lambda: _models()),
    "poolings": ("model.pooling", lambda: POOLINGS),
    "metrics": ("in reports and summaries", lambda: METRICS),
    "keys": ("of `train`, with defaults; `serve up` takes those below fleet", lambda: _with_defaults(DEFAULT)),
    "sources": ("of `pool build`", lambda: SOURCES),
    "build-keys": ("of `pool build`, with defaults", lambda: _with_defaults(BuildConfig())),
}


def catalogue(part: str | None) -> str:
    """One table or, without a name, all; raises UnknownName."""
    if part is not None and part not in PARTS:
        raise UnknownName("part of the list", part, PARTS)
    return "\n\n".join(_table(name) for name in PARTS if part in (None, name))


def _table(part: str) -> str:
    use, make = PARTS[part]
    lines = make()
    width = max(map(len, lines))
    return "\n".join([f"{part} ({use})", *(f"  {name:{width}}  {line}" for name, line in lines.items())])


def _models() -> Mapping[str, str]:
    usual = ", ".join(f"{name} for {kind}" for kind, name in USUAL.items())
    return {AUTO: f"of a table's bags: {usual}"} | MODELS | VECTOR_MODELS | CLIP_MODELS


def _with_defaults(config: T) -> dict[str, str]:
    default = values(config)
    return {name: f"{line} ({default[name]})" for name, line in keys(type(config)).items()}


def _changes(config: RunConfig) -> str:
    """What a recipe sets to something other than the default."""
    default = values(DEFAULT)
    changed = [f"{name}={value}" for name, value in values(config).items() if value != default[name]]
    return f" Sets {', '.join(changed)}." if changed else ""


def _first_line(thing: object) -> str:
    return (thing.__doc__ or "").strip().splitlines()[0]
