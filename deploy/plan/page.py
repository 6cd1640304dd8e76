"""A plan in words: what is planned, a table of what it takes, and what to change."""

from collections.abc import Callable, Iterator, Mapping

import torch

from negsift.deploy.plan.advice import advice
from negsift.deploy.plan.amounts import bytes_text, count_text, seconds_text
from negsift.deploy.plan.asked import ASSUMED_POSITIVES
from negsift.deploy.plan.plan import TRAINING, Plan
from negsift.deploy.plan.workload import Machines
from negsift.deploy.text_table import text_table

_PARTS = 4


def plan_page(plan: Plan) -> str:
    """The plan's lines."""
    return "\n".join([*_head(plan), "", *text_table("what figure of", list(_rows(plan))), "", *advice(plan)])


def _head(plan: Plan) -> Iterator[str]:
    rounds, form = plan.work.rounds, plan.work.form
    where = "in a bag table" if form.in_table else "in memory"
    total = bytes_text(rounds.bags * form.decoded_bytes)
    scored = "" if rounds.scored == rounds.bags else f", of which a round scores {rounds.scored:,}"
    yield (
        f"{rounds.bags:,} bags of {form.instances:.3g} instances and {form.decoded_bytes:,.0f} bytes, {total} {where}; "
        f"{plan.config.strategy.name} picks {rounds.picks:,} of them{scored}"
    )
    if plan.asked.positives is None:
        yield f"{rounds.positives:,} positive bags: 1 for {ASSUMED_POSITIVES} of the pool, without --positives"
    yield f"{_scorers(plan.work.machines)}; {_rate(plan)}"


def _scorers(machines: Machines) -> str:
    each = f"{machines.gpu_share:g} GPU" if machines.gpu_share else _number(machines.threads, "thread")
    if machines.on_ray:
        return f"{_number(machines.scorers, 'Ray scorer')} of {each} each on {_number(machines.nodes, 'node')}"
    return f"{_number(machines.scorers, 'shard')} in one process of {each}"


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _rate(plan: Plan) -> str:
    of, measured = ("a scorer" if plan.work.machines.on_ray else "the process"), plan.measured
    if measured is None:
        return f"{count_text(plan.rates.memory)} bags a second {of}, as --rate says"
    device = (
        f"{_number(measured.threads, 'thread')} of this machine" if measured.threads else torch.cuda.get_device_name()
    )
    smaller = "" if measured.block == plan.work.rounds.block else f" in blocks of {measured.block}"
    return f"{count_text(plan.rates.memory)} bags a second {of}, measured now on {device}{smaller}"


def _rows(plan: Plan) -> Iterator[tuple[str, str, str]]:
    yield from _second_rows(plan)
    memory, traffic = plan.memory, plan.traffic
    if plan.work.machines.on_ray:
        yield "scorer", *_sized(memory.scorer)
        yield "coordinator", *_sized(memory.coordinator)
        yield "node", *_sized(memory.node)
        yield "store", bytes_text(memory.object_store), "of the node, in Ray's object store"
        crossing = {"answers": traffic.answers, "weights": traffic.weights, "selection": traffic.selection}
        yield "network", *_sized(crossing, "a round: ")
    else:
        yield "process", *_sized(memory.node)
    if plan.work.form.in_table:
        yield "reading", bytes_text(traffic.pool), "a round, from where the table lies"


def _second_rows(plan: Plan) -> Iterator[tuple[str, str, str]]:
    seconds, trained = plan.seconds, plan.work.rounds.trained
    source = "measured now" if plan.measured else f"assumed: 1/{TRAINING} of the rate of scoring"
    source = "as --train-rate says" if plan.asked.train_rate else source
    yield "round", seconds_text(seconds.round), _parts(seconds.parts, seconds_text)
    rate = f"{count_text(plan.rates.train)} a second, {source}"
    yield "training", seconds_text(seconds.train), f"{trained:,} bags an epoch, {rate}"
    share = f"{plan.work.form.validated:.3g} bags for each one to train on, by the trainer"
    yield "validation", seconds_text(seconds.validate), share
    yield "share", f"{seconds.share:.0%}", "of an epoch waits for its negatives"


def _sized(parts: Mapping[str, float], prefix: str = "") -> tuple[str, str]:
    return bytes_text(sum(parts.values())), prefix + _parts(parts, bytes_text)


def _parts(parts: Mapping[str, float], text: Callable[[float], str]) -> str:
    """The largest parts, largest first; those below a hundredth of all are left out."""
    whole = sum(parts.values())
    largest = sorted(parts.items(), key=lambda part: -part[1])[:_PARTS]
    return ", ".join(f"{name} {text(size)}" for name, size in largest if size > 0.01 * whole)
