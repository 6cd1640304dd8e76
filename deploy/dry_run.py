"""What a run would do, before it does it: its folder, its scorers and workers, and where they find room."""

from collections.abc import Iterator
from pathlib import Path

from negsift.common.counted import counted
from negsift.common.overrides import to_dict
from negsift.deploy.pinned import pinned
from negsift.deploy.run_config import FREE, RunConfig, defaults
from negsift.deploy.same_data import require_same_table
from negsift.deploy.text_table import text_table
from negsift.service.fleet.placement import Free, Needs, less, packed, scorers_by_node
from negsift.trainer.folder import RunFolder

Group = tuple[int, Needs]
"""How many, and what each needs."""


def describe_run(config: RunConfig, out: Path) -> str:
    """The run in a few lines. Raises BadInput as the run would for its folder and for resources that are not there."""
    folder = RunFolder(out)
    state, workers = _state(pinned(config, folder), folder), config.training.workers
    if workers == 1 and not config.fleet.on_ray:
        from negsift.service.start import local_devices, local_shards  # imported here: they need torch

        shards = local_shards(config.fleet, local_devices())
        return f"{state}\nthis process trains, and scores in {counted(shards, 'shard')}"
    from negsift.deploy.workers import worker_needs
    from negsift.service.cluster.connect import connect
    from negsift.service.cluster.resources import free_by_node, node_names, obtainable_resources, shard_count
    from negsift.service.cluster.room import Room, find_room

    connect(config.fleet.dashboard)
    found = worker_needs(workers, config.fleet)
    each, workers = (found.get("CPU", 0.0), found.get("GPU", 0.0)), workers if found else 0
    names, free = node_names(), free_by_node()
    free = {names[node]: have for node, have in free.items()}
    trainers = packed(free, each, workers)
    room, left = find_room(), less(free, each, trainers)
    if room.group is None:
        most = {kind: have - workers * found.get(kind, 0.0) for kind, have in obtainable_resources().items()}
        room = Room.of(list(left.values()), most)
    shards = shard_count(room.resources, config.fleet)
    scorers = (shards, room.needs(config.fleet, shards))
    return "\n".join([state, *placement(free, scorers, (workers, each))])


def placement(free: Free, scorers: Group, workers: Group) -> Iterator[str]:
    """A line on the scorers and trainer workers (how many, and what each needs), the nodes, and what has no room."""
    trainers = packed(free, workers[1], workers[0])
    found = scorers_by_node(less(free, workers[1], trainers), scorers[1], scorers[0])
    trains = f"{counted(workers[0], 'trainer worker')} of {_text(workers[1])}" if workers[0] else "this process trains"
    yield f"{counted(scorers[0], 'scorer')} of {_text(scorers[1])}; {trains}"
    rows = [
        (*node.split(), f"{have.get('CPU', 0.0):g}", f"{have.get('GPU', 0.0):g}", found[node], trainers[node])
        for node, have in free.items()
    ]
    yield from text_table("node id CPUs GPUs scorers workers", rows)
    lacking = {"scorer": scorers[0] - sum(found.values()), "worker": workers[0] - sum(trainers.values())}
    waiting = [counted(count, who) for who, count in lacking.items() if count]
    yield f"no room now for {' and '.join(waiting)}: they would wait" if waiting else "all of them have room"


def _text(needs: Needs) -> str:
    return f"{needs[0]:g} CPU and {needs[1]:g} GPU"


def _state(config: RunConfig, folder: RunFolder) -> str:
    known = folder.check(to_dict(config), FREE, defaults())
    require_same_table(folder, config.data)
    if folder.summary is not None:
        return f"{folder.path}: the run is finished"
    state = folder.load() if known else None
    return f"{folder.path}: {folder.saved(len(state['progress']['history'])) if state else 'a new run'}"
