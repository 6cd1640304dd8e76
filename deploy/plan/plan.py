"""A plan: measures what is not given, and puts seconds, memory and traffic together."""

from dataclasses import dataclass

import torch

from negsift.common.errors import BadInput
from negsift.deploy.plan.answers import RoundTraffic, Streaming, round_traffic
from negsift.deploy.plan.asked import Asked, planned_machines, planned_rounds
from negsift.deploy.plan.measure import SAMPLE_BYTES, Bench, Measured
from negsift.deploy.plan.memory import MemoryPlan, Working, memory_plan
from negsift.deploy.plan.sample import sample_of
from negsift.deploy.plan.seconds import EpochSeconds, Rates, round_parts, scorers_needed
from negsift.deploy.plan.workload import Workload
from negsift.deploy.run_config import RunConfig
from negsift.service.strategies import make_strategy

TRAINING = 3
"""Where no training can be measured, a bag takes so many times as long to train on as to score."""


@dataclass(frozen=True)
class Plan:
    """What a run would take. `needed` scorers make a round no longer than training; None: no number of them does."""

    config: RunConfig
    asked: Asked
    work: Workload
    rates: Rates
    measured: Measured | None
    seconds: EpochSeconds
    memory: MemoryPlan
    traffic: RoundTraffic
    needed: int | None


def make_plan(config: RunConfig, asked: Asked) -> Plan:
    """The plan of a run. Raises BadInput where what is asked for is not known or doesn't fit the recipe, and where GPUs
    are planned on a machine without one and no rate is given.
    """
    machines, rounds = planned_machines(config.fleet, asked), planned_rounds(config, asked)
    if machines.gpu_share and asked.rate is None and not torch.cuda.is_available():
        raise BadInput(
            "GPUs to plan for on a machine without one", "--rate, the bags that such a GPU scores in a second",
            "run it on a machine with that GPU, or take the rate from a run's log",
        )  # fmt: skip
    sample_bytes = SAMPLE_BYTES if asked.rate is None else SAMPLE_BYTES // 32  # of which only sizes are taken
    with (
        sample_of(config, asked.bag_bytes, asked.features, sample_bytes) as sample,
        Bench(sample, config, rounds, machines) as bench,
    ):
        strategy = make_strategy(config.strategy)
        work = Workload(sample.form, rounds, strategy, machines, bench.sizes(), config.fleet)
        measured = bench.measure(Streaming.of(work)) if asked.rate is None else None
        rates = _rates(measured, asked)
    return _put_together(config, asked, work, rates, measured)


def _rates(measured: Measured | None, asked: Asked) -> Rates:
    given = asked.rate or 0.0
    if measured is None:
        return Rates(given, given, given, asked.train_rate or given / TRAINING, given)
    train = asked.train_rate or measured.train
    memory, disk, store = (speed.rate * measured.share for speed in measured.speeds)
    return Rates(memory, disk, store, train, measured.speeds[0].rate)


def _put_together(config: RunConfig, asked: Asked, work: Workload, rates: Rates, measured: Measured | None) -> Plan:
    rounds, parts = work.rounds, round_parts(work, rates)
    train = rounds.trained / (rates.train * config.training.workers)
    validate = (rounds.bags + rounds.positives) * work.form.validated / rates.device
    seconds = EpochSeconds.of(parts, rounds, train, validate)

    def seconds_with(scorers: int) -> float:
        return sum(round_parts(work.with_scorers(scorers), rates).values())

    needed = scorers_needed(seconds_with, train) if work.machines.on_ray else None
    memory = memory_plan(work, measured.working if measured else Working())
    return Plan(config, asked, work, rates, measured, seconds, memory, round_traffic(work), needed)
