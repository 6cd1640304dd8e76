"""Pools that may grow: a pool given by its path, its versions, and rounds and weights that name one.

The version travels with every call, so a shard that was restarted can't answer for another one.
"""

import dataclasses
from pathlib import Path

from negsift.common.data.table.bags import TableBags, open_pool, open_positives
from negsift.common.errors import BadInput
from negsift.common.protocols import Sized
from negsift.common.types import PoolVersion, Snapshot
from negsift.service.arguments import require_dataset


def pool_of(pool: Sized | str | Path, label: str | None) -> Sized:
    """The pool itself, or the bags negative for `label` of the table at a path or URI; raises BadInput otherwise."""
    if isinstance(pool, (str, Path)):
        return open_pool(pool, label)
    require_dataset(pool, "a pool")
    if label is not None and not isinstance(pool, TableBags):
        raise BadInput(f"target_label={label!r} with a pool that is no path", "a path or URI", "leave it out")
    return pool


def positives_of(positives: Sized | str | Path | None, label: str | None) -> Sized:
    """The positives themselves, none at all, or the bags positive for `label` of the table at a path or URI."""
    if positives is None:
        return ()
    if not isinstance(positives, (str, Path)):
        require_dataset(positives, "positives")
        return positives
    if label is None:
        raise BadInput("positives by path without target_label", "the label they are positive for", "give it")
    return open_positives(positives, label)


def pool_version_of(pool: Sized) -> PoolVersion:
    """The version and the size of a pool."""
    return PoolVersion(pool.version if isinstance(pool, TableBags) else 0, len(pool))


def stamp(snapshot: Snapshot, pool_version: PoolVersion) -> Snapshot:
    """The weights for one version of the pool; their digest tells versions apart, too."""
    if not pool_version.version:
        return snapshot
    digest = f"{snapshot.digest}@{pool_version.version}"
    return dataclasses.replace(snapshot, digest=digest, pool_version=pool_version.version)


def renew(pool: Sized, version: int | None) -> TableBags:
    """Another version of a table's bags, the newest by default; raises BadInput for any other pool."""
    if not isinstance(pool, TableBags):
        raise BadInput("a pool that is no bag table", "one given by its path or URI", "make one with `pool build`")
    return pool.at(version)
