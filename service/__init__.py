"""The sampling service: shards of the pool score bags, a coordinator picks the negatives."""

from service.attach import attach
from service.sampler import NegativeSampler

__all__ = ["NegativeSampler", "attach"]
