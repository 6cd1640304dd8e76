"""What a plan says to change: what does not fit, what takes longest, and how many scorers would do."""

from collections.abc import Iterator

from negsift.deploy.plan.amounts import bytes_text, seconds_text
from negsift.deploy.plan.answers import AnswerKind, Answers
from negsift.deploy.plan.plan import Plan
from negsift.service.strategies.cluster_margin import MOST_CANDIDATES

_NETWORK_BYTES_S = 1.25e9  # 10 Gbit/s
_SERIOUS = 0.1  # share of a round
_QUIET = 1.5  # times faster by processor time than by the clock; more is other work
_REMEDIES = {
    "pool": "lower fleet.pool_mb, or use a bag table if it is none",
    "embeddings": "lower fleet.cache_mb",
    "points": "lower fleet.cache_mb, which moves them to a file, or use badge_filtered",
    "bags to train on": "raise sampling.ratio, so that fewer are picked",
    "training": "raise sampling.ratio, so that fewer bags are trained on",
    "object store": "use a bag table, or fewer bags",
    "merging": "lower fleet.held_mb, or raise sampling.ratio",
}
_UNCOUNTED = {
    "k_center": "the seconds of picking among the points",
    "cluster_margin": "the seconds of clustering",
    "svm_margin": "the seconds of fitting the SVM",
}
_FEWER = "put fewer scorers on a node"


def advice(plan: Plan) -> Iterator[str]:
    """A line for each thing to know."""
    yield from _speed(plan)
    yield from _busy(plan)
    yield from _room(plan)
    yield from _limits(plan)


def _speed(plan: Plan) -> Iterator[str]:
    seconds, needed, unit = plan.seconds, plan.needed, "GPU" if plan.work.machines.gpu_share else "scorer"
    largest = max(seconds.parts, key=lambda name: seconds.parts[name])
    if plan.work.machines.on_ray and needed is not None:
        number = needed * (plan.work.machines.gpu_share or 1.0)
        yield f"selection is no slower than training with {number:,.3g} {unit}s or more"
    elif plan.work.machines.on_ray:
        yield f"selection stays slower than training with any number of scorers: {largest} does not get faster"
    if largest == "drawing":
        yield "drawing grows with the square of the picks: a higher sampling.ratio has fewer"
    if seconds.round > seconds.train:
        yield "sampling.staleness=1 lets it run beside training; sampling.candidates=M scores a part of the pool"
    if seconds.validate > max(seconds.round, seconds.train):
        yield f"validation takes longest, {seconds_text(seconds.validate)} an epoch: lower data.val_share"
    moved = (plan.traffic.answers + plan.traffic.weights + plan.traffic.selection) / _NETWORK_BYTES_S
    if plan.work.machines.on_ray and moved > _SERIOUS * seconds.round:
        yield f"the network takes {seconds_text(moved)} of a round at 10 Gbit/s, which the round does not count"
    each = plan.traffic.pool / plan.work.machines.nodes / seconds.round
    if plan.work.form.in_table and each:
        yield f"reading keeps up if each node gets {bytes_text(each)} a second of the table"


def _busy(plan: Plan) -> Iterator[str]:
    """A measurement that other work has disturbed."""
    measured = plan.measured
    if measured is not None and measured.threads:
        alone = measured.speeds[0].per_processor * measured.threads / measured.speeds[0].rate
        if alone > _QUIET:
            yield f"other work keeps this machine busy: alone, its threads may score {alone:.1f} times as fast"


def _room(plan: Plan) -> Iterator[str]:
    memory, limit = plan.memory, plan.asked.node_memory
    whole = sum(memory.node.values()) - memory.page_cache
    if limit is not None and whole > limit:
        largest = max(memory.node, key=lambda name: memory.node[name] - memory.page_cache * (name == "pool"))
        remedy = _REMEDIES.get(largest, _FEWER)
        yield f"a node of {bytes_text(limit)} is too small by {bytes_text(whole - limit)}, most is {largest}: {remedy}"
    if memory.page_cache:
        pages = bytes_text(memory.page_cache)
        yield f"the pool's files take {pages} of a node's page cache; what has no room there is read again each round"
    if memory.point_files:
        yield f"points take {bytes_text(memory.point_files)} of disk in a node's TMPDIR, as they exceed fleet.cache_mb"


def _limits(plan: Plan) -> Iterator[str]:
    answers, fleet = Answers.of(plan.work), plan.config.fleet
    gathered = answers.points * plan.work.sizes.point
    if answers.gathered and gathered > fleet.gather_limits.gather_bytes:
        yield f"the run would fail: {bytes_text(gathered)} to gather, {fleet.gather_mb} MiB allowed by fleet.gather_mb"
    if answers.kind is AnswerKind.CANDIDATES and answers.best > MOST_CANDIDATES:
        yield f"the run would fail: cluster_margin clusters at most {MOST_CANDIDATES:,} bags, not {answers.best:,}"
    if plan.work.form.in_table and plan.work.form.group_bytes > fleet.budget.memory_bytes:
        needed = plan.work.form.group_bytes / 2**20
        yield f"the run would fail: row groups of this size need fleet.pool_mb={needed:.0f} or more"
    if plan.config.strategy.name in _UNCOUNTED:
        yield f"not counted: {_UNCOUNTED[plan.config.strategy.name]}"
    scoring = plan.config.fleet.scoring
    if scoring.frozen:
        yield "frozen: this is the first round; in later ones bags whose features fleet.cache_mb holds cost little"
    if scoring.compile:
        yield "compile: the rate is measured without it"
    if plan.config.augment.of_clips or plan.config.augment.of_images:
        yield "not counted: augmentation in training"
    if plan.work.machines.gpu_share:
        yield "not counted: memory of the GPUs, and what CUDA takes of a scorer's"
