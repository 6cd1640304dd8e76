"""A user's own network as an embedder: its head, its answers, its gradients."""

import copy
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from negsift.common.data.bagset import BagBatch
from negsift.common.errors import BadModel
from negsift.common.models.adapt import AdaptedModule
from negsift.common.models.bag import BagClassifier
from negsift.common.models.embedder import Embedder, as_embedder
from negsift.common.types import Embedded, EmbeddingSpec, Need
from negsift.common.weights import load_snapshot, take_snapshot
from tests.unit.toys import MeanNet, cnn, vector_model, vectors

BAGS = torch.stack(vectors([3] * 5)).double()
INDEX = np.arange(5)
FEATURES, GRADIENT = EmbeddingSpec(Need.FEATURES), EmbeddingSpec(Need.GRADIENT)
Shape = Callable[[MeanNet, Tensor], Tensor]

SHAPES: dict[str, tuple[int, Shape]] = {
    "bags (N, D)": (2, lambda net, bags: net.fc(net.body(bags).tanh().mean(1))),
    "instances (N, n, D)": (2, lambda net, bags: net.fc(net.body(bags).tanh()).mean(1)),
    "instances (N·n, D)": (2, lambda net, bags: net.fc(net.body(bags.flatten(0, 1)).tanh()).view(-1, 3, 2).mean(1)),
    "three classes": (3, lambda net, bags: net.fc(net.body(bags).tanh()).mean(1)),
    "one logit (N, 1)": (1, lambda net, bags: net.fc(net.body(bags).tanh()).mean(1)),
    "one logit (N,)": (1, lambda net, bags: net.fc(net.body(bags).tanh()).mean(1)[:, 0]),
}  # fmt: skip
ANSWERS: dict[str, Callable[[Tensor], object]] = {
    "one answer for all": lambda logits: logits.mean(0, keepdim=True),
    "no axis": lambda logits: logits.sum(),
    "three axes": lambda logits: logits[..., None],
    "a tuple": lambda logits: (logits, logits),
    "nothing": lambda logits: None,
}


class Net(MeanNet):
    """The toy network with another way from bags to logits."""

    def __init__(self, classes: int, shape: Shape) -> None:
        super().__init__(classes)
        self.shape = shape

    def forward(self, bags: Tensor) -> Tensor:
        return self.shape(self, bags)


def net_of(name: str) -> Net:
    return Net(*SHAPES[name]).double().eval()  # type: ignore[no-any-return]  # torch's stub


def two_columns(answer: Tensor) -> Tensor:
    """Logits (N, K >= 2), one logit z being (0, z)."""
    wide = answer[:, None] if answer.ndim == 1 else answer
    return torch.cat([torch.zeros_like(wide), wide], 1) if wide.shape[1] == 1 else wide


def embed(model: Embedder, ask: EmbeddingSpec, bags: Tensor = BAGS) -> Embedded:
    with torch.inference_mode():
        return model.embed(bags, np.arange(len(bags)), ask)


@pytest.mark.parametrize("name", SHAPES)
def test_logits_are_the_networks_answer(name: str) -> None:
    net = net_of(name)
    expected = two_columns(net(BAGS)).detach().numpy()
    np.testing.assert_allclose(embed(as_embedder(net), FEATURES).logits, expected, rtol=1e-12)


@pytest.mark.parametrize("name", SHAPES)
def test_features_are_the_mean_input_of_the_head(name: str) -> None:
    net = net_of(name)
    expected = [net.body(bag).tanh().mean(0).tolist() for bag in BAGS]
    np.testing.assert_allclose(embed(as_embedder(net), FEATURES).features, expected, rtol=1e-12)


@pytest.mark.parametrize("name", SHAPES)
def test_gradient_is_autograds(name: str) -> None:
    net = net_of(name)
    found = embed(as_embedder(net), GRADIENT)
    assert found.gradient is not None
    for bag, left, right in zip(BAGS, found.gradient.left, found.gradient.right, strict=True):
        logits = two_columns(net(bag[None]))
        loss = nn.functional.cross_entropy(logits, logits.argmax(1))
        expected = torch.autograd.grad(loss, net.fc.weight)[0].numpy()
        ours = np.outer(left, right)
        # Two classes: one row times √2 stands for both; with a single logit that row is class 1's.
        sign = -1.0 if len(expected) == 1 else 1.0
        np.testing.assert_allclose(ours, sign * expected[:1] * 2**0.5 if len(ours) == 1 else expected, atol=1e-10)


def test_a_bag_classifier_is_left_as_it_is() -> None:
    model = vector_model()
    assert as_embedder(model) is model


def test_last_linear_layer_is_the_head_unless_named() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(18, 7), nn.ReLU(), nn.Linear(7, 2)).double()
    assert embed(as_embedder(net), FEATURES).features.shape == (5, 7)
    assert embed(as_embedder(net, head="1"), FEATURES).features.shape == (5, 18)


def test_named_head_that_is_missing_lists_the_linear_layers() -> None:
    with pytest.raises(BadModel, match="no linear layer 'fc3'; expected one of body, fc; correct head="):
        as_embedder(MeanNet(), head="fc3")


def test_a_network_without_a_linear_layer_has_logits_alone() -> None:
    model = as_embedder(nn.Sequential(nn.Flatten()))
    assert embed(model, EmbeddingSpec(Need.LOGITS)).logits.shape == (5, 18)
    with pytest.raises(BadModel, match=r"no nn\.Linear in the model.*use a strategy of logits"):
        embed(model, FEATURES)


@pytest.mark.parametrize("name", ANSWERS)
def test_answer_of_another_shape_is_a_bad_model(name: str) -> None:
    net = Net(2, lambda self, bags: ANSWERS[name](self.fc(self.body(bags).tanh()).mean(1))).double()  # type: ignore[arg-type, return-value]  # wrong on purpose
    with pytest.raises(BadModel, match=r"for 5 bags; expected bag logits \(N, K\)"):
        embed(as_embedder(net), FEATURES)


@pytest.mark.parametrize(
    "shape",
    [
        lambda net, bags: net.fc(net.body(bags).tanh()).mean(1).tanh(),
        lambda net, bags: net.fc(net.body(bags).tanh()).amax(1),
        lambda net, bags: net.fc(net.body(bags).tanh()).mean(1) * torch.tensor([1.0, 2.0]),
    ],
    ids=["tanh", "max", "scaled"],
)
def test_gradient_of_a_head_used_otherwise_is_a_bad_model(shape: Shape) -> None:
    model = as_embedder(Net(2, shape).double(), head="fc")
    assert embed(model, FEATURES).features.shape == (5, 4)
    with pytest.raises(BadModel, match=r"differ from the head's output.*without gradients"):
        embed(model, GRADIENT)


def test_head_that_is_never_called_is_a_bad_model() -> None:
    model = as_embedder(Net(2, lambda net, bags: net.body(bags).mean(1)[:, :2]).double())
    with pytest.raises(BadModel, match="head that is not used"):
        embed(model, FEATURES)


@pytest.mark.parametrize("rows", [4, 6, 10], ids=["ragged", "other ragged", "twice as many"])
def test_head_inputs_that_are_not_equal_bags_are_a_bad_model(rows: int) -> None:
    parts = [1] * 4 + [rows - 4] if rows > 4 else [1, 1, 1, 1, 0]

    def ragged(net: MeanNet, bags: Tensor) -> Tensor:
        logits = net.fc(net.body(bags[:, :1].expand(-1, 6, -1).flatten(0, 1)[:rows]).tanh())
        return torch.stack([part.sum(0) for part in logits.split(parts)])

    with pytest.raises(BadModel, match="head"):
        embed(as_embedder(Net(2, ragged).double()), FEATURES)


@pytest.mark.parametrize(
    "way", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))], ids=["copy", "pickle"]
)
def test_copies_for_the_shards_work_alone(way: Callable[[Embedder], Embedder]) -> None:
    model = as_embedder(MeanNet().double())
    other = way(model)
    np.testing.assert_array_equal(embed(other, FEATURES).features, embed(model, FEATURES).features)


def test_weights_of_the_users_network_fit() -> None:
    net = MeanNet().double()
    model = as_embedder(copy.deepcopy(net))
    net.fc.bias.data += 1.0
    load_snapshot(model, take_snapshot(net.state_dict(), version=0))
    np.testing.assert_allclose(embed(model, FEATURES).logits, net(BAGS).detach().numpy(), rtol=1e-12)


def test_adapted_network_answers_as_before() -> None:
    net = MeanNet().double()
    assert torch.equal(AdaptedModule(copy.deepcopy(net))(BAGS), net(BAGS))


@pytest.mark.parametrize(
    ("model", "found"), [(None, "a NoneType"), ("resnet18", "a str"), (MeanNet, "the class MeanNet")]
)
def test_an_object_other_than_a_network_is_a_bad_model(model: object, found: str) -> None:
    with pytest.raises(BadModel, match=rf"found {found} as model; expected a torch\.nn\.Module"):
        as_embedder(model)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.filterwarnings("ignore:`torch.jit.trace:DeprecationWarning")
def test_a_scripted_network_is_a_bad_model() -> None:
    traced = torch.jit.trace(nn.Sequential(nn.Linear(3, 2)), torch.zeros(2, 3))
    with pytest.raises(BadModel, match=r"a TorchScript module; expected a plain torch\.nn\.Module"):
        as_embedder(traced)


class NamedInput(MeanNet):
    def forward(self, bags: Tensor) -> Tensor:
        return self.fc(input=self.body(bags).tanh().mean(1))


def test_a_head_may_be_called_by_name() -> None:
    named, placed = NamedInput(), MeanNet()
    placed.load_state_dict(named.state_dict())
    answers = [as_embedder(net.double()).embed(BAGS, INDEX, FEATURES) for net in (named, placed)]
    np.testing.assert_array_equal(answers[0].features, answers[1].features)


class Reversed(BagClassifier):
    def forward(self, bags: BagBatch) -> Tensor:
        return -super().forward(bags)


def test_a_classifier_whose_forward_scoring_would_not_call_is_refused() -> None:
    model = cnn()
    model.__class__ = Reversed
    with pytest.raises(BadModel, match="Reversed with a forward of its own; expected an embed to go with it"):
        as_embedder(model)


class LowRank(nn.Module):
    """A linear layer with low-rank additions, in the form that PEFT gives it."""

    def __init__(self, layer: nn.Linear, names: tuple[str, str] = ("lora_A", "lora_B")) -> None:
        super().__init__()
        self.base_layer, self.names = layer, names
        shapes = (layer.in_features, 2), (2, layer.out_features)
        for name, shape in zip(names, shapes, strict=True):
            self.add_module(name, nn.ModuleDict({"default": nn.Linear(*shape, bias=False)}))

    def forward(self, features: Tensor) -> Tensor:
        down, up = (self.get_submodule(f"{name}.default") for name in self.names)
        return self.base_layer(features) + 2.0 * up(down(features))


@pytest.mark.parametrize(
    ("names", "head"),
    [
        (("lora_A", "lora_B"), None),
        (("lora_A", "lora_B"), "fc"),
        (("lora_A", "lora_B"), "fc.base_layer"),
        (("lora_a", "lora_b"), "fc.lora_b.default"),
    ],
)
@pytest.mark.parametrize("name", SHAPES)
def test_a_head_with_low_rank_additions_is_the_linear_layer_of_their_sum(
    name: str, names: tuple[str, str], head: str | None
) -> None:
    net, merged = net_of(name), net_of(name)
    net.fc = LowRank(net.fc, names).double()  # type: ignore[assignment]  # a layer of another class
    down, up = (net.get_parameter(f"fc.{each}.default.weight") for each in names)
    merged.load_state_dict({**net.body.state_dict(prefix="body."), **net.fc.base_layer.state_dict(prefix="fc.")})
    with torch.no_grad():
        merged.fc.weight += 2.0 * up @ down
    found, expected = embed(as_embedder(net, head), GRADIENT), embed(as_embedder(merged), GRADIENT)
    np.testing.assert_allclose(found.logits, expected.logits, rtol=1e-9)
    np.testing.assert_allclose(found.features, expected.features, rtol=1e-12)
    assert found.gradient is not None
    assert expected.gradient is not None
    np.testing.assert_allclose(found.gradient.left, expected.gradient.left, rtol=1e-9)


def test_frozen_features_go_through_the_low_rank_additions() -> None:
    net = net_of("instances (N, n, D)")
    net.fc = LowRank(net.fc).double()  # type: ignore[assignment]  # as above
    model = as_embedder(net)
    with torch.inference_mode():
        answer = model.answer(model.encode(BAGS, len(BAGS)), FEATURES).embedded(INDEX)
    np.testing.assert_allclose(answer.logits, embed(model, FEATURES).logits, rtol=1e-12)


class InPlaceNet(nn.Module):
    """Adds to its classifier's output, or empties its input, in place."""

    def __init__(self, empties: bool) -> None:
        super().__init__()
        self.other, self.fc, self.empties = nn.Linear(6, 2), nn.Linear(6, 2), empties

    def forward(self, bags: Tensor) -> Tensor:
        feats = bags.mean(1)
        logits: Tensor = self.fc(feats)
        if self.empties:
            feats.zero_()
            return logits
        logits += 5 * self.other(bags.amax(1))
        return logits


def test_what_a_module_adds_to_its_heads_output_in_place_is_noticed() -> None:
    with pytest.raises(BadModel, match="neither the outputs of the last nn.Linear"):
        asked(InPlaceNet(empties=False), EmbeddingSpec(Need.FEATURES))


def test_features_are_those_that_entered_the_head() -> None:
    assert asked(InPlaceNet(empties=True), EmbeddingSpec(Need.FEATURES)).features.any()


class RepeatedNet(nn.Module):
    """Calls its classifier for each instance."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 2)

    def forward(self, bags: Tensor) -> Tensor:
        return torch.stack([self.fc(bags[:, instance]) for instance in range(bags.shape[1])]).mean(0)


def test_a_head_called_for_each_instance_has_logits_and_no_features() -> None:
    assert asked(RepeatedNet(), EmbeddingSpec(Need.LOGITS)).logits.shape[1] == 2
    with pytest.raises(BadModel, match="3 calls of the head 'fc' in a batch; expected one call"):
        asked(RepeatedNet(), EmbeddingSpec(Need.FEATURES), head="fc")


def asked(module: nn.Module, spec: EmbeddingSpec, head: str | None = None) -> Embedded:
    bags = torch.randn(4, 3, 6, generator=torch.Generator().manual_seed(0))
    model = as_embedder(module, head)
    with torch.inference_mode():
        return model.embed(bags, np.arange(4), spec)
