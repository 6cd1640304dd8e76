"""From configuration to a running service: how many shards, on which devices, in which processes."""

import importlib.util
import logging

import torch

from negsift.common.errors import BadInput
from negsift.service.config import FleetConfig
from negsift.service.fleet.local import LocalFleet, ShardSpec
from negsift.service.points.shared_points import PoolLayout
from negsift.service.pool.blocks import block_count
from negsift.service.protocols import LocalService, Service
from negsift.service.selection.coordinator import Coordinator

log = logging.getLogger(__name__)


def warn_of_empty(shards: int, bags: int, block: int) -> None:
    """Log how many of the shards that were asked for get no block: they do nothing, and no harm."""
    blocks = block_count(bags, block)
    if shards > blocks:
        log.warning(
            "%d shards for %s bags in %d blocks of %d: %d of them stay empty; lower shards or fleet.block",
            shards, f"{bags:,}", blocks, block, shards - blocks,
        )  # fmt: skip


def start_service(stock: ShardSpec, layout: PoolLayout, config: FleetConfig) -> Service:
    """The service for one pool, ready to run rounds."""
    warn_of_empty(config.shards or 0, len(stock.pool), config.block)
    if config.on_ray:
        if importlib.util.find_spec("ray") is None:
            raise BadInput("no ray installed", "ray 2.60", "pip install ray, or --set fleet.kind=local")
        from negsift.service.cluster.service import start_ray_service  # imported here: a local fleet needs no Ray

        return start_ray_service(stock, layout, config)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    fleet = LocalFleet(stock, device)
    line = f"{stock.shards} shards of {len(stock.pool):,} bags in this process, on {device}"
    line += f" ({config.scoring.line})" if config.scoring.line else ""
    return LocalService(fleet, Coordinator(fleet, layout), line)
