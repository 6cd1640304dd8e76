"""Versions of a pool: a bag table grows by versions, and rounds and weights name the one they are for.

The version travels with every call, so a restarted shard can't answer for another one.
"""

import dataclasses

from negsift.common.data.protocols import BagDataset
from negsift.common.data.table.bags import TableBags
from negsift.common.errors import BadInput
from negsift.common.types import PoolVersion, Snapshot


def pool_version_of(pool: BagDataset) -> PoolVersion:
    """The version and the size of a pool; version 0 where it is no table."""
    return PoolVersion(pool.version if isinstance(pool, TableBags) else 0, len(pool))


def for_version(snapshot: Snapshot, pool: PoolVersion) -> Snapshot:
    """The weights for one version of the pool, under a digest that also differs between versions."""
    if not pool.version:
        return snapshot
    digest = f"{snapshot.digest}@{pool.version}"
    return dataclasses.replace(snapshot, digest=digest, pool_version=pool.version)


def at_version(pool: BagDataset, version: int | None) -> TableBags:
    """Another version of a table's bags, by default the newest; raises BadInput for any other pool."""
    if not isinstance(pool, TableBags):
        raise BadInput("a pool that is no bag table", "one given by its path or URI", "make one with `pool build`")
    return pool.at(version)
