"""How a user's module is called: with the batch, or with the entries of a batch as keywords."""

import inspect
from collections.abc import Mapping

from torch import nn

from negsift.common.data.bagset import Batch
from negsift.common.errors import BadModel

_WRAPPED = ("base_model", "model", "module")
"""Where wrappers whose forward takes anything, such as PEFT's, have the module whose arguments count."""


def call_module(module: nn.Module, batch: Batch) -> object:
    """The module's output for a batch; a mapping whose keys are all arguments of its forward is given as keywords, as
    Hugging Face's models and those of torchmil take it.
    """
    if isinstance(batch, Mapping) and set() < set(batch.keys()) <= _arguments(module):
        return module(**batch)
    require_one_argument(module)
    return module(batch)


def require_one_argument(module: nn.Module) -> None:
    """Raise BadModel for a forward that can't be called with a batch alone."""
    try:
        signature = inspect.signature(module.forward)
        signature.bind(None)
    except ValueError:  # compiled code may have no signature
        return
    except TypeError:
        arguments = ", ".join(signature.parameters)
        raise BadModel(
            f"{type(module).__name__}.forward({arguments})", "a forward of one argument, the batch",
            "give collate= that makes a dict of all arguments",
        ) from None  # fmt: skip


def _arguments(module: nn.Module) -> set[str]:
    """The names of the forward's arguments; none where it has no signature."""
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except ValueError:
        return set()
    named = {each.name for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)}
    inner = next((part for name, part in module.named_children() if name in _WRAPPED), None)
    return named if named or inner is None else _arguments(inner)
