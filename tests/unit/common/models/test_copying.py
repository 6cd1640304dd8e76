"""Models that a layer's state makes hard to copy, and those that hold no usable weights."""

import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from negsift.common.errors import BadModel
from negsift.common.models.adapt import as_embedder
from negsift.common.models.copying import independent_copy
from negsift.service import NegativeSampler
from tests.unit.toys import MeanNet, assert_same, select, vector_model, vectors

POOL = vectors([3] * 20)


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
@pytest.mark.parametrize("make", [KeepsAttention, normed])
def test_a_trained_model_picks_as_a_fresh_one(make: Any) -> None:  # Any: makes a model
    assert_same(select(POOL, trained(make()), "badge", 5), select(POOL, make(), "badge", 5))


def test_a_copy_shares_nothing_with_a_model_that_keeps_outputs() -> None:
    model = trained(KeepsAttention())
    copied = independent_copy(model)
    assert isinstance(copied.attention, Tensor)
    assert not copied.attention.requires_grad
    assert copied.attention.data_ptr() != model.attention.data_ptr()  # type: ignore[operator, union-attr]  # a Tensor


@pytest.mark.parametrize("kind", [MeanNet, vector_model])
def test_a_model_that_cannot_be_copied_says_why(kind: Any) -> None:  # Any: as above
    model = kind()
    model.lock = threading.Lock()
    with pytest.raises(BadModel, match="can't be copied .*lock.*keep locks, open files and outputs"):
        NegativeSampler(POOL, model, k=3, fleet="local")


def test_selecting_in_inference_mode_changes_nothing() -> None:
    with torch.inference_mode():
        found = select(POOL, MeanNet(), "badge", 5)
    assert_same(found, select(POOL, MeanNet(), "badge", 5))


class Lazy(MeanNet):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.LazyLinear(4)


class WithState(MeanNet):
    def get_extra_state(self) -> dict[str, int]:
        return {"step": 3}

    def set_extra_state(self, state: object) -> None:
        pass


def sparse() -> nn.Module:
    net = MeanNet()
    net.register_buffer("graph", torch.eye(3).to_sparse())
    return net


UNUSABLE = {
    "lazy": (Lazy, r"weights 'body\.weight' of a lazy layer.*run the model on one batch first"),
    "meta": (lambda: MeanNet().to("meta"), r"weights 'body\.weight' on the meta device"),
    "sparse": (sparse, r"weights 'graph' of layout torch\.sparse_coo.*use to_dense\(\)"),
    "float8": (lambda: MeanNet().to(torch.float8_e4m3fn), r"of torch\.float8_e4m3fn"),
    "extra state": (WithState, "weights '_extra_state' of type dict"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_model_without_plain_weights_is_refused_at_once(name: str) -> None:
    make, message = UNUSABLE[name]
    with pytest.raises(BadModel, match=message):
        as_embedder(make())


def test_a_compiled_model_is_scored_with_the_weights_given() -> None:
    model, other = torch.compile(MeanNet(), backend="eager"), vectors([3], seed=9)[0]
    weights = {name: value + other.mean() for name, value in model.state_dict().items()}
    plain = {name.removeprefix("_orig_mod."): value for name, value in weights.items()}
    with NegativeSampler(POOL, model, strategy="margin", k=5) as one, NegativeSampler(POOL, MeanNet(), strategy="margin", k=5) as two:  # fmt: skip
        np.testing.assert_array_equal(one.select(weights, 0).index, two.select(plain, 0).index)
