"""What a run's configuration leaves open: its table's version, the usual model of the bags, the size of blocks."""

from dataclasses import replace

from negsift.common.config import AUTO
from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import read_manifest
from negsift.common.models.config import USUAL
from negsift.common.overrides import flat, to_dict
from negsift.deploy.run_config import FREE, RunConfig, defaults
from negsift.trainer.folder import RunFolder


def pinned(config: RunConfig, folder: RunFolder) -> RunConfig:
    """The config with what is found out: a bag table's version, the one that the run in the folder began with, else the
    newest; the usual model of its bags where none is named; the size of that run's blocks, which else follows later.
    """
    data, model, begun = config.data, config.model, flat(folder.config or {})
    block = begun.get("fleet.block")
    if config.fleet.block == AUTO and isinstance(block, int):
        config = replace(config, fleet=replace(config.fleet, block=block))
    if data.name != "table" or data.root is None or not (data.version is None or model.name == AUTO):
        return config
    known = begun.get("data.version")
    version = known if data.version is None and isinstance(known, int) else data.version
    if version is None or model.name == AUTO:
        manifest = read_manifest(Location.of(data.root), version)
        version, usual = manifest.version, USUAL[manifest.payload.kind]
        model = replace(model, name=usual) if model.name == AUTO else model
    return replace(config, data=replace(data, version=version), model=model)


def is_run_of(config: RunConfig, folder: RunFolder) -> bool:
    """Whether the folder has the run of that config, as far as `Runner.run` would go on there."""
    return folder.config is not None and folder.differing(to_dict(pinned(config, folder)), defaults()) <= FREE
