"""Rows of studies that are runs with a name of their own, and what compares two of them."""

from collections.abc import Sequence
from dataclasses import replace

from negsift.common.overrides import override
from negsift.deploy.run_config import RunConfig
from negsift.trainer.results.claims import Evidence, Pair


def row(name: str, config: RunConfig, *settings: str) -> RunConfig:
    """The config with these settings, as a row of that name."""
    return replace(override(config, settings), name=name)


def above(evidence: Evidence, name: str, other: str, classes: Sequence[str]) -> Pair:
    """The last test AP of a row against another's, on some classes, in pairs of class and seed."""
    mine, theirs = (
        {b: v for b, v in evidence.row(each, "last.ap").items() if b.data in classes} for each in (name, other)
    )
    return Pair(f"{name} over {other}", mine, theirs)
