"""What a run would do, before it does it: its folder, its scorers and workers, and where they find room."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from negsift.common.overrides import to_dict
from negsift.deploy.recipes import FREE, RunConfig, defaults
from negsift.deploy.run import pinned
from negsift.deploy.text_table import text_table
from negsift.service.fleet.placement import placed
from negsift.trainer.folder import RunFolder

Needs = tuple[float, float]
"""CPUs and GPUs."""
Free = Mapping[str, Mapping[str, float]]
"""What nobody uses now, by node and kind."""


def describe_run(config: RunConfig, out: Path) -> str:
    """The run in a few lines. Raises BadInput as the run would for its folder and for resources that are not there."""
    folder = RunFolder(out)
    state, workers = _state(pinned(config, folder), folder), config.training.workers
    if workers == 1 and not config.fleet.on_ray:
        return f"{state}\n{config.fleet.shard_count()} shards score in this process, which trains"
    from negsift.deploy.workers import fleet_beside
    from negsift.service.cluster.connect import connect
    from negsift.service.cluster.resources import free_by_node, shard_count
    from negsift.service.cluster.room import find_room

    connect(config.fleet.dashboard)
    fleet, room, free = fleet_beside(workers, config.fleet), find_room(), free_by_node()
    shards = shard_count(room.resources, fleet)
    lines = placement(free, (shards, room.needs(fleet, shards)), 0 if workers == 1 else workers)
    return "\n".join([state, *lines])


def placement(free: Free, scorers: tuple[int, Needs], workers: int) -> Iterator[str]:
    """A line on the `scorers` (how many, and what each needs) and trainer workers, the nodes, and what has no room."""
    each: Needs = (1.0, 1.0 if any(node.get("GPU") for node in free.values()) else 0.0)
    trainers = placed(free, each, workers)
    found = placed({node: _less(have, each, trainers[node]) for node, have in free.items()}, scorers[1], scorers[0])
    trains = f"{workers} trainer workers of {_text(each)}" if workers else "this process trains"
    yield f"{scorers[0]} scorers of {_text(scorers[1])}; {trains}"
    rows = [
        (*node.split(), f"{have.get('CPU', 0.0):g}", f"{have.get('GPU', 0.0):g}", found[node], trainers[node])
        for node, have in free.items()
    ]
    yield from text_table("node id CPUs GPUs scorers workers", rows)
    lacking = {"scorers": scorers[0] - sum(found.values()), "workers": workers - sum(trainers.values())}
    waiting = [f"{count} {who}" for who, count in lacking.items() if count]
    yield f"no room now for {' and '.join(waiting)}: they would wait" if waiting else "all of them have room"


def _less(have: Mapping[str, float], needs: Needs, count: int) -> Mapping[str, float]:
    return {kind: have.get(kind, 0.0) - count * need for kind, need in zip(("CPU", "GPU"), needs, strict=True)}


def _text(needs: Needs) -> str:
    return f"{needs[0]:g} CPU and {needs[1]:g} GPU"


def _state(config: RunConfig, folder: RunFolder) -> str:
    known = folder.check(to_dict(config), FREE, defaults())
    if folder.summary is not None:
        return f"{folder.path}: the run is finished"
    state = folder.load() if known else None
    return f"{folder.path}: {folder.saved(len(state['progress']['history'])) if state else 'a new run'}"
