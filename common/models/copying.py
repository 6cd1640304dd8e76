"""A copy of a user's model that shares nothing with it, and the checks that it can be copied and loaded."""

import copy
from collections.abc import Iterator, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from negsift.common.errors import BadModel
from negsift.common.weights import fault_of, is_extra_state

Model = TypeVar("Model", bound=nn.Module)
_REMEDY = "build the sampler before training, or give a function that makes the model in place of the model"


def independent_copy(model: Model, device: torch.device | None = None) -> Model:
    """A deep copy, on `device` if one is given. Tensors that a layer kept from its last pass, say attention maps in a
    list, are copied without their graph. Raises BadModel for a model that can't be copied.
    """
    kept = [tensor for part in model.modules() for tensor in _tensors(vars(part))]
    moved = [tensor for tensor in kept if not tensor.is_leaf or device not in (None, tensor.device)]
    try:
        with torch.inference_mode(False):  # within it the copy could never be loaded with weights
            copied = copy.deepcopy(model, {id(value): value.detach().to(device, copy=True) for value in moved})
            return copied if device is None else copied.to(device)
    except (TypeError, RuntimeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].partition(". ")[0]
        found = f"a {type(model).__name__} that can't be copied ({reason})"
        raise BadModel(found, "one that deepcopy takes, without locks and open files", _REMEDY) from error


def _tensors(value: object) -> Iterator[Tensor]:
    """The tensors in nested dicts and lists of a module's attributes, its own parameters and buffers left out."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for name, part in value.items():
            if name not in ("_parameters", "_buffers", "_modules"):
                yield from _tensors(part)
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)


def on_cpu(model: Model) -> Model:
    """The model as it travels to other processes: itself where all its tensors are on the CPU, else a copy there."""
    everywhere = (value.device.type for value in (*model.parameters(), *model.buffers()))
    return model if all(kind == "cpu" for kind in everywhere) else independent_copy(model, torch.device("cpu"))


def on_device(model: Model, device: torch.device) -> Model:
    """The model itself, moved there with the tensors that are plain attributes of its parts."""
    for part in model.modules():
        for name, value in vars(part).items():
            if isinstance(value, Tensor):
                setattr(part, name, value.to(device))
    return model.to(device)


def unwrapped(model: nn.Module) -> nn.Module:
    """The user's own module, inside DataParallel, DistributedDataParallel and `torch.compile`.

    Scorers have no group to exchange buffers with, and threads can't share compiled code.
    """
    while True:
        wrapped = isinstance(model, (DataParallel, DistributedDataParallel))
        inner: object = model.module if wrapped else vars(model)["_modules"].get("_orig_mod")
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def require_module(model: object) -> nn.Module:
    """The model. Raises BadModel unless it is a torch module whose weights are plain numbers."""
    if not isinstance(model, nn.Module):
        found = f"the class {model.__name__}" if isinstance(model, type) else f"a {type(model).__name__}"
        raise BadModel(
            f"{found} as model", "a torch.nn.Module", "pass an instance of the network, or a function that makes one"
        )
    if isinstance(model, torch.jit.ScriptModule):
        raise BadModel("a TorchScript module", "a plain torch.nn.Module", "pass the one that it was made from")
    if any(kind.__name__ == "FullyShardedDataParallel" for part in model.modules() for kind in type(part).__mro__):
        raise BadModel("a model in FullyShardedDataParallel", "a whole one", _REMEDY)
    for name, value in model.state_dict().items():
        fault = None if is_extra_state(name) else fault_of(value)
        if fault is not None:
            remedy = _REMEDY if hasattr(value, "full_tensor") else fault.remedy
            raise BadModel(f"a model with weights {name!r} {fault.what}", "dense tensors", remedy)
    return model
