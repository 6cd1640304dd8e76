"""What users give a sampler, resolved and checked before any work is done."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from negsift.common.data.protocols import BagDataset
from negsift.common.data.table.bags import TableBags, open_pool, open_positives
from negsift.common.errors import BadInput, UnknownName
from negsift.common.models.adapt import no_head
from negsift.common.round_policy import RoundPolicy
from negsift.common.types import Need
from negsift.service.strategies import STRATEGIES, StrategyConfig, make_strategy
from negsift.service.strategies.base import Strategy

_NO_DATASETS = {"iloc": "the list of its bags, as tensors", "tocsr": "toarray()"}
"""What pandas' frames and scipy's sparse matrices have, whose [i] is no bag, and what to give in their place."""


def resolve_pool(pool: BagDataset | str | Path, label: str | None) -> BagDataset:
    """The dataset itself, or the bags negative for `label` of the table at a path or URI; raises BadInput."""
    if label is not None and not isinstance(label, str):
        raise BadInput(f"target_label={label!r}", "the name of a label, as text", f"give target_label='{label}'")
    if isinstance(pool, (str, Path)):
        return open_pool(pool, label)
    require_dataset(pool, "a pool")
    if label is not None and not isinstance(pool, TableBags):
        raise BadInput(f"target_label={label!r} with a pool that is no path", "a path or URI", "leave it out")
    return pool


def resolve_positives(positives: BagDataset | str | Path | None, label: str | None) -> BagDataset:
    """The dataset, empty for None, or a table's bags positive for `label`, without which a path raises BadInput."""
    if positives is None:
        return ()
    if not isinstance(positives, (str, Path)):
        require_dataset(positives, "positives")
        return positives
    if label is None:
        raise BadInput("positives by path without target_label", "the label they are positive for", "give it")
    return open_positives(positives, label)


def require_dataset(dataset: object, name: str) -> None:
    """Raise BadInput unless `dataset` is a map-style dataset."""
    # torch's base class defines [i] to raise, for iterable datasets too, and __len__ is the subclass's own.
    mapped = getattr(type(dataset), "__getitem__", Dataset.__getitem__) is not Dataset.__getitem__
    odd = next((name for name in _NO_DATASETS if hasattr(dataset, name)), None)
    if isinstance(dataset, (str, bytes, Mapping)) or not mapped or odd or not hasattr(dataset, "__len__"):
        expected = "a map-style dataset of bags, with len() and [i], or the path of a bag table"
        remedy = f"give {_NO_DATASETS[odd]}" if odd else "wrap it in a torch Dataset"
        if isinstance(dataset, Mapping) and dataset:
            remedy = f"give one of its parts, such as [{next(iter(dataset))!r}]"
        raise BadInput(f"{name} of type {type(dataset).__name__}", expected, remedy)
    if isinstance(dataset, Tensor) and dataset.layout != torch.strided:
        raise BadInput(f"{name} that is a sparse tensor", "a dense one", "give to_dense()")


def require_column(target: int, columns: int | None) -> None:
    """Raise BadInput unless `target` may be one of so many logit columns; None stands for an unknown number."""
    if columns is not None and target >= columns:
        found, expected = f"target={target} with {columns} logit columns", f"a column from 0 to {columns - 1}"
        raise BadInput(found, expected, "correct target=, or name the classifier with head=")


def require_columns(found: int, columns: int | None) -> None:
    """Raise BadInput unless logits have the model's number of columns; None stands for an unknown number."""
    if columns is not None and found != columns:
        expected = f"{columns}, as the model's"
        raise BadInput(f"logits of {found} columns", expected, "give what the model's forward pass returned")


def require_head(strategy: Strategy, has_head: bool) -> None:
    """Raise BadModel for a strategy of features or gradients where the model has no linear layer."""
    if strategy.need >= Need.FEATURES and not has_head:
        raise no_head()


def resolve_strategy(strategy: object) -> Strategy:
    """The strategy itself, or the one of that name; raises BadInput for anything else."""
    if isinstance(strategy, str):
        if strategy not in STRATEGIES:  # `auto` is none of a sampler's
            raise UnknownName("strategy", strategy, STRATEGIES)
        return make_strategy(StrategyConfig(strategy))
    if not isinstance(strategy, Strategy):
        kind = f"the class {strategy.__name__}" if isinstance(strategy, type) else f"a {type(strategy).__name__}"
        raise BadInput(f"{kind} as strategy", "a name or a Strategy", "give a name of `list`, or an object")
    return strategy


def resolve_policy(policy: RoundPolicy | None, shortcuts: RoundPolicy) -> RoundPolicy:
    """The policy given as a whole, without a subclass's own fields, or by `shortcuts` for its fields.

    Raises BadInput for both, or for another type.
    """
    require_kind(policy, RoundPolicy, "policy")
    if policy is None:
        return shortcuts
    if shortcuts != RoundPolicy():
        raise BadInput("policy= and a shortcut for one of its fields", "one of both", "set the policy's field")
    return policy.policy


def require_kind(value: object, kind: type, name: str) -> None:
    """Raise BadInput unless `value` is a `kind` or None."""
    if value is not None and not isinstance(value, kind):
        raise BadInput(f"{name}={value!r}", f"a {kind.__name__}", f"give {name}={kind.__name__}(...)")
