"""A copy of a user's model that shares nothing with it, and the checks that it can be copied and loaded."""

import copy
import inspect
from typing import TypeVar

import torch
from torch import Tensor, nn

from negsift.common.errors import BadModel
from negsift.common.weights import fault_of

Model = TypeVar("Model", bound=nn.Module)


def independent_copy(model: Model) -> Model:
    """A deep copy. Tensors that a layer kept from its last pass, say an attention map, are copied without their graph.

    Raises BadModel for a model that can't be copied.
    """
    kept = [value for part in model.modules() for value in vars(part).values() if isinstance(value, Tensor)]
    try:
        with torch.inference_mode(False):  # within it the copy could never be loaded with weights
            return copy.deepcopy(model, {id(value): value.detach().clone() for value in kept if not value.is_leaf})
    except (TypeError, RuntimeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].partition(". ")[0]
        raise BadModel(
            f"a {type(model).__name__} that can't be copied ({reason})", "one that deepcopy takes",
            "keep locks, open files and outputs of the last pass out of its attributes, or define __deepcopy__",
        ) from error  # fmt: skip


def require_module(model: object) -> None:
    """Raise BadModel unless `model` is a torch module whose weights are plain numbers."""
    if not isinstance(model, nn.Module):
        found = f"the class {model.__name__}" if isinstance(model, type) else f"a {type(model).__name__}"
        raise BadModel(f"{found} as model", "a torch.nn.Module", "pass an instance of the network")
    if isinstance(model, torch.jit.ScriptModule):
        raise BadModel("a TorchScript module", "a plain torch.nn.Module", "pass the one that it was made from")
    for name, value in model.state_dict().items():
        fault = fault_of(value)
        if fault is not None:
            raise BadModel(f"a model with weights {name!r} {fault.what}", "dense tensors", fault.remedy)


def require_one_argument(module: nn.Module) -> None:
    """Raise BadModel for a forward that can't be called with a batch alone."""
    try:
        signature = inspect.signature(module.forward)
    except ValueError:  # compiled code may have none
        return
    try:
        signature.bind(None)
    except TypeError:
        arguments = ", ".join(signature.parameters)
        raise BadModel(
            f"{type(module).__name__}.forward({arguments})", "a forward of one argument, the batch",
            "give collate= that makes one batch of all, and take it apart in the forward",
        ) from None  # fmt: skip
