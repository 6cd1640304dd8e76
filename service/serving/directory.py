"""Services by name on a cluster: start one, find it, list all, end it."""

import functools
import logging
import re
import time
import uuid
from contextlib import ExitStack
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError

from negsift.common.data.table.location import Location
from negsift.common.data.table.manifest import read_manifest
from negsift.common.errors import BadInput, ServiceError, UnknownName
from negsift.service.cluster.connect import NAMESPACE, connect, require_cluster, require_importable
from negsift.service.cluster.resources import shard_count
from negsift.service.cluster.room import find_room, whole_cluster
from negsift.service.cluster.waiting import scorers_waiting, waiting_told
from negsift.service.config import FleetConfig
from negsift.service.serving.actor import ServiceActor, ServiceSpec
from negsift.service.serving.protocol import Wire, checked
from negsift.service.serving.shard_specs import shards_for

log = logging.getLogger(__name__)
_PREFIX = "service-"
_ANSWER_S, _END_S, _PAUSE_S = 30.0, 20.0, 0.1

ServiceHandle = Any  # Any: an actor handle, whose methods Ray's types don't show


def start(pool: str, name: str, config: FleetConfig, idle_s: float = 0.0, *, detached: bool = False) -> ServiceHandle:
    """The handle of a new service for the table at `pool`, once its scorers have started.

    It ends with this program, unless `detached`, or after `idle_s` seconds without a request (0: never). A detached
    one is outside of the placement group that may confine this program. Raises
    BadInput for a table that isn't there, a name in use, more shards than blocks and resources that the cluster
    hasn't; ServiceError for scorers that don't start.
    """
    manifest = read_manifest(Location.of(pool))
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
        raise BadInput(f"service name {name!r}", "letters, digits, '.', '_' and '-'", "give another --name")
    if detached:
        require_cluster("a detached service")
    connect(config.dashboard)
    if name in names():
        raise _name_in_use(name)
    room = whole_cluster() if detached else find_room()
    shards = shards_for(manifest, config, shard_count(room.resources, config))
    spec = ServiceSpec(name, pool, config, room.needs(config, shards), shards, idle_s, room.group)
    return _begin(spec, detached)


def _begin(spec: ServiceSpec, detached: bool) -> ServiceHandle:
    plain: Any = ServiceActor  # Any: Ray's stubs know no options for an actor with coroutines
    factory = ray.remote(plain).options(
        name=f"{_PREFIX}{spec.name}", namespace=NAMESPACE, lifetime="detached" if detached else None,
        num_cpus=0, num_gpus=0, max_restarts=-1, max_task_retries=-1,
        scheduling_strategy="DEFAULT" if detached else None,
    )  # fmt: skip
    try:
        actor = factory.remote(spec, f"{spec.name}-{uuid.uuid4().hex[:6]}")
    except ValueError:  # another program was faster
        raise _name_in_use(spec.name) from None
    with ExitStack() as undo:
        undo.callback(ray.kill, actor)
        try:
            waiting = functools.partial(scorers_waiting, _scorers_of(spec.name), spec.resources, spec.group)
            with waiting_told(waiting, spec.config.start_s):
                checked(ray.get(actor.ready.remote(), timeout=spec.config.start_s + _ANSWER_S))
        except (RayActorError, GetTimeoutError) as error:
            require_importable()
            raise ServiceError(f"service {spec.name!r} can't start ({error})", "see the cause above") from error
        undo.pop_all()
    return actor


def names() -> list[str]:
    """The names of the services that are up."""
    actors = ray.util.list_named_actors(all_namespaces=True)
    ours = [actor["name"] for actor in actors if actor["namespace"] == NAMESPACE]
    return sorted(name.removeprefix(_PREFIX) for name in ours if name.startswith(_PREFIX))


def find(name: str | None = None) -> ServiceHandle:
    """The handle of the service called `name`, or of the only one; raises BadInput where there is none."""
    require_cluster("finding a service")
    up = names()
    if name is None and len(up) == 1:
        name = up[0]
    if not up:
        raise BadInput("no service up on this cluster", "one", "start it with `negsift serve up POOL`")
    if name is None:
        raise BadInput(f"{len(up)} services", f"one of {', '.join(up)}", "name it")
    if name not in up:
        raise UnknownName("service", name, up)
    return ray.get_actor(f"{_PREFIX}{name}", NAMESPACE)


def ask(actor: ServiceHandle) -> Wire:
    """A service's status; raises ServiceError if it doesn't answer."""
    try:
        answer: Wire = ray.get(actor.status.remote(), timeout=_ANSWER_S)
    except (RayActorError, GetTimeoutError) as error:
        raise ServiceError(f"no answer from the service ({type(error).__name__})", "try again, or end it") from error
    return checked(answer)


def address() -> str:
    """The address at which other programs find the cluster."""
    return str(ray.get_runtime_context().gcs_address)


def await_end(actor: ServiceHandle, name: str) -> str:
    """Wait until a service has ended, by `serve down` or because nobody used it; gives a line that says so."""
    while True:
        try:
            ray.get(actor.ended.options(max_task_retries=0).remote())
        except ActorUnavailableError:  # it was killed, and is being restarted
            time.sleep(_PAUSE_S)
        except RayActorError:
            return f"{name} has ended"


def stop(name: str | None = None) -> str:
    """End a service and wait until the names of its actors are free; gives its name."""
    actor = find(name)
    name = name or names()[0]
    try:
        ray.get(actor.clear.remote(), timeout=_ANSWER_S)
    except (RayActorError, GetTimeoutError):
        log.warning("service %s doesn't answer; it is ended all the same", name)
    ray.kill(actor)
    until = time.monotonic() + _END_S
    while _has_actors(name) and time.monotonic() < until:
        time.sleep(_PAUSE_S)
    return name


def _has_actors(name: str) -> bool:
    """Whether an actor of the service still has its name."""
    actors = [actor["name"] for actor in ray.util.list_named_actors(all_namespaces=True)]
    scorer = re.compile(_scorers_of(name))
    return f"{_PREFIX}{name}" in actors or any(scorer.fullmatch(actor) for actor in actors)


def _scorers_of(name: str) -> str:
    """What the names of a service's scorers match."""
    return rf"scorer-\d+-{re.escape(name)}-\w+"


def _name_in_use(name: str) -> BadInput:
    return BadInput(f"service {name!r} already up", "a free name", f"give --name, or end it with `serve down {name}`")
