"""From configuration to a running service: in this process or on Ray, on which device."""

import importlib.util
import logging
from collections.abc import Sequence
from dataclasses import replace

import torch

from negsift.common.config import AUTO
from negsift.common.errors import BadInput
from negsift.service.config import FleetConfig
from negsift.service.fleet.local import LocalService
from negsift.service.pool.blocks import block_count
from negsift.service.protocols import Service
from negsift.service.scoring.shard_spec import ShardSpec

log = logging.getLogger(__name__)


def start_service(spec: ShardSpec, config: FleetConfig) -> Service:
    """The service for one pool, ready to run rounds; raises BadInput if it shall run on Ray and Ray isn't installed."""
    shards, bags, blocks = config.shards or 0, len(spec.pool), block_count(len(spec.pool), config.block_size)
    if shards > blocks:  # some get no block; they do nothing, and no harm
        log.warning(
            "%d shards for %s bags in %d blocks of %d: %d of them stay empty; lower shards or fleet.block",
            shards, f"{bags:,}", blocks, config.block_size, shards - blocks,
        )  # fmt: skip
    if config.on_ray:
        if importlib.util.find_spec("ray") is None:
            raise BadInput("no ray installed", "ray 2.60", "pip install ray, or fleet.kind=local")
        from negsift.service.cluster.service import start_ray_service  # imported here: a local fleet needs no Ray

        return start_ray_service(spec.to_send(), config)
    devices = local_devices()
    spec = replace(spec, shards=local_shards(config, devices))
    return LocalService(spec, config.gather_limits, devices, probe=config.block == AUTO)


def local_devices() -> Sequence[torch.device]:
    """All GPUs of this machine that torch can use, or its CPU where there is none."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return [torch.device("cuda", number) for number in range(count)] or [torch.device("cpu")]


def local_shards(config: FleetConfig, devices: Sequence[torch.device]) -> int:
    """The shards asked for, else one a GPU, or one a core where there is none."""
    return config.shards or (len(devices) if devices[0].type == "cuda" else config.shard_count())
