"""Models that a layer's state makes hard to copy, and those that hold no usable weights."""

import threading
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from negsift.common.errors import BadModel
from negsift.common.models.copying import independent_copy, on_cpu, on_device
from negsift.common.models.embedder import as_embedder
from negsift.service import NegativeSampler
from negsift.service.config import FleetConfig
from tests.unit.toys import MeanNet, assert_same, select, vector_model, vectors

POOL = vectors([3] * 20)


class KeepsMaps(MeanNet):
    """Keeps outputs of every pass in lists and dicts."""

    def __init__(self) -> None:
        super().__init__()
        self.maps: dict[str, list[Tensor]] = {"body": []}

    def forward(self, bags: Tensor) -> Tensor:
        hidden = self.body(bags).tanh()
        self.maps["body"] = [*self.maps["body"], hidden]
        return self.fc(hidden).mean(1)


class KeepsAttention(MeanNet):
    """Keeps its attention map for a picture."""

    attention: Tensor

    def forward(self, bags: Tensor) -> Tensor:
        hidden = self.body(bags).tanh()
        self.attention = hidden[..., :1].softmax(1)
        return self.fc((self.attention * hidden).sum(1))


def trained(model: nn.Module) -> nn.Module:
    """The model after a backward pass."""
    model(torch.stack(POOL[:4])).sum().backward()
    return model


def normed() -> nn.Module:
    net = MeanNet()
    nn.utils.weight_norm(net.body)
    return net


@pytest.mark.filterwarnings("ignore:.*weight_norm")  # the old form, which many networks have
@pytest.mark.parametrize("make", [KeepsAttention, KeepsMaps, normed])
def test_a_trained_model_picks_as_a_fresh_one(make: Any) -> None:  # Any: makes a model
    assert_same(select(POOL, trained(make()), "badge", 5), select(POOL, make(), "badge", 5))


def test_a_copy_shares_nothing_with_a_model_that_keeps_outputs() -> None:
    model = trained(KeepsAttention())
    copied = independent_copy(model)
    assert isinstance(copied.attention, Tensor)
    assert not copied.attention.requires_grad
    assert copied.attention.data_ptr() != model.attention.data_ptr()  # type: ignore[operator, union-attr]  # a Tensor


class Everywhere(KeepsMaps):
    """Has tensors as parameters, buffers, attributes and in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("ones", torch.ones(2))
        self.prototype = torch.ones(3)

    def devices(self) -> set[str]:
        kept = [self.prototype, *self.maps["body"]]
        return {value.device.type for value in (*self.parameters(), *self.buffers(), *kept)}


def test_a_copy_for_another_device_has_all_its_tensors_there() -> None:
    model = trained(Everywhere())
    copied = independent_copy(model, torch.device("meta"))
    assert isinstance(model, Everywhere)
    assert isinstance(copied, Everywhere)
    assert (model.devices(), copied.devices()) == ({"cpu"}, {"meta"})
    assert on_cpu(model) is model


def test_moving_a_model_takes_its_plain_tensors_along() -> None:
    assert on_device(Everywhere(), torch.device("meta")).devices() == {"meta"}


@pytest.mark.parametrize("kind", [MeanNet, vector_model])
def test_a_model_that_cannot_be_copied_says_why(kind: Any) -> None:  # Any: as above
    model = kind()
    model.lock = threading.Lock()
    with pytest.raises(
        BadModel, match="can't be copied .*lock.*without locks.*build the sampler before training, or give a function"
    ):
        NegativeSampler(POOL, model, k=3, fleet="local")


@pytest.mark.parametrize("make", [MeanNet, vector_model])
def test_selecting_in_inference_mode_changes_nothing(make: Any) -> None:  # Any: as above
    model = make()
    with torch.inference_mode():
        found, inner = select(POOL, model, "badge", 5), select(POOL, make(), "badge", 5)
    assert_same(found, select(POOL, make(), "badge", 5))
    assert_same(inner, found)


class Lazy(MeanNet):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.LazyLinear(4)


def sparse() -> nn.Module:
    net = MeanNet()
    net.register_buffer("graph", torch.eye(3).to_sparse())
    return net


def quantized() -> nn.Module:
    with warnings.catch_warnings(action="ignore"):  # torch moves this elsewhere
        return torch.ao.quantization.quantize_dynamic(MeanNet(), {nn.Linear})


UNUSABLE = {
    "lazy": (Lazy, r"weights 'body\.weight' of a lazy layer.*run the model on one batch first"),
    "meta": (lambda: MeanNet().to("meta"), r"weights 'body\.weight' on the meta device"),
    "sparse": (sparse, r"weights 'graph' of layout torch\.sparse_coo.*use to_dense\(\)"),
    "quantized": (
        quantized,
        r"weights 'body\._packed_params\.dtype' of a quantized layer.*the model that it was quantized",
    ),
    "float8": (lambda: MeanNet().to(torch.float8_e4m3fn), r"of torch\.float8_e4m3fn"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_model_without_plain_weights_is_refused_at_once(name: str) -> None:
    make, message = UNUSABLE[name]
    with pytest.raises(BadModel, match=message):
        as_embedder(make())


def compiled() -> nn.Module:
    return torch.compile(MeanNet(), backend="eager")


def parallel() -> nn.Module:
    return nn.DataParallel(MeanNet(), device_ids=[])


@pytest.mark.parametrize("make", [compiled, parallel, lambda: nn.DataParallel(compiled(), device_ids=[])])
def test_the_model_inside_a_wrapper_is_scored_with_the_weights_given(make: Any) -> None:  # Any: as above
    model = make()
    weights = {name: value + 0.3 for name, value in model.state_dict().items()}
    plain = {name.rpartition("_orig_mod.")[2].removeprefix("module."): value for name, value in weights.items()}
    with NegativeSampler(POOL, model, strategy="margin", k=5) as one, NegativeSampler(POOL, MeanNet(), strategy="margin", k=5) as two:  # fmt: skip
        found = [sampler.select(given, 0).index.tolist() for sampler in (one, two) for given in (weights, plain)]
    assert found == found[:1] * 4


class Fsdp(MeanNet):
    """Stands for a model of torch's FullyShardedDataParallel, whose state dict is a call of all processes."""

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:  # Any: nn.Module's own
        raise AssertionError("other processes are not there")


Fsdp.__name__ = "FullyShardedDataParallel"


class Sharded(Tensor):
    """A DTensor outside of its process group."""

    def full_tensor(self) -> Tensor:
        raise RuntimeError("no process group")


def sharded() -> nn.Module:
    net = MeanNet()
    net.fc.bias = nn.Parameter(torch.zeros(2).as_subclass(Sharded))
    return net


@pytest.mark.parametrize("make", [Fsdp, sharded])
def test_a_model_in_parts_says_when_to_build_the_sampler(make: Any) -> None:  # Any: as above
    with pytest.raises(
        BadModel, match="(FullyShardedDataParallel|DTensor).*build the sampler before training, or give a function"
    ):
        as_embedder(make())


class Locked(MeanNet):
    """Can't be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()

    def forward(self, bags: Tensor) -> Tensor:
        with self.lock:
            return super().forward(bags)


@pytest.mark.parametrize("name", ["badge", "random"])
def test_a_function_makes_models_that_cannot_be_copied(name: str) -> None:
    model = trained(Locked())
    with NegativeSampler(POOL, lambda: Locked(), strategy=name, k=5, shards=3) as sampler:
        found = sampler.select(model.state_dict(), 0)
    np.testing.assert_array_equal(found.index, select(POOL, MeanNet(), name, 5, options=FleetConfig()).index)


def test_a_function_that_makes_models_draws_from_no_generator_of_the_callers() -> None:
    before = torch.get_rng_state()
    with NegativeSampler(POOL, lambda: nn.Sequential(nn.Flatten(), nn.Linear(18, 2)), k=3):
        assert torch.equal(torch.get_rng_state(), before)


def test_what_a_function_makes_is_checked() -> None:
    with pytest.raises(BadModel, match=r"a NoneType as model; expected a torch\.nn\.Module"):
        NegativeSampler(POOL, lambda: None, k=3)  # type: ignore[arg-type, return-value]  # wrong on purpose
