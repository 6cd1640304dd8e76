"""Every pooling against loops over one bag at a time, and its gradient against autograd."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from negsift.common.data.bagset import BagBatch, Batch
from negsift.common.errors import BadData, BadInput
from negsift.common.models.bag import BagClassifier, pad_bags
from negsift.common.models.config import POOLINGS
from negsift.common.models.pooling import GatedAttention, residual
from negsift.common.types import Embedded, EmbeddingSpec, Need
from tests.unit.toys import vector_model, vectors

SIZES = [3, 1, 5, 2, 4, 1]
EVERY = [(pooling, classes) for pooling in POOLINGS for classes in (2, 3)]
KNOWN = EmbeddingSpec(Need.GRADIENT, "known")
PSEUDO = EmbeddingSpec(Need.GRADIENT, "pseudo")


def double_model(pooling: str, classes: int, seed: int = 0) -> BagClassifier:
    return vector_model(pooling, classes, seed=seed).double()


def lay_out(bags: list[Tensor]) -> BagBatch:
    return BagBatch(torch.cat(bags).double(), np.array([len(bag) for bag in bags]))


def embed(model: BagClassifier, bags: list[Tensor], ask: EmbeddingSpec) -> Embedded:
    with torch.inference_mode():
        return model.embed(lay_out(bags), np.arange(len(bags)), ask)


def softmax(values: list[float]) -> list[float]:
    powers = [math.exp(value - max(values)) for value in values]
    return [power / sum(powers) for power in powers]


def attention(pooling: GatedAttention, feats: np.ndarray) -> list[float]:
    def affine(layer: torch.nn.Linear, row: np.ndarray) -> np.ndarray:
        return layer.weight.detach().numpy() @ row + layer.bias.detach().numpy()

    gated = [np.tanh(affine(pooling.value, h)) / (1 + np.exp(-affine(pooling.gate, h))) for h in feats]
    return softmax([float(affine(pooling.score, row)[0]) for row in gated])


def naive_bag(model: BagClassifier, pooling: str, bag: Tensor) -> tuple[list[float], np.ndarray]:
    """The bag's probabilities and its feature, from the definitions."""
    feats = model.encoder(bag.double()).detach().numpy()
    logits = model.head(torch.from_numpy(feats)).detach().numpy().tolist()
    count, classes = len(logits), range(len(logits[0]))
    share = attention(model.pooling, feats) if isinstance(model.pooling, GatedAttention) else [1 / count] * count
    feature = sum(weight * h for weight, h in zip(share, feats, strict=True))
    if pooling == "softmax_mean":
        return [sum(softmax(z)[c] for z in logits) / count for c in classes], feature
    if pooling == "softmax_max":
        largest = [max(softmax(z)[c] for z in logits) for c in classes]
        return [value / sum(largest) for value in largest], feature
    return softmax([sum(weight * z[c] for weight, z in zip(share, logits, strict=True)) for c in classes]), feature


def autograd_gradient(model: BagClassifier, bag: Tensor, label: int) -> np.ndarray:
    loss = torch.nn.functional.cross_entropy(model(lay_out([bag])), torch.tensor([label]))
    return torch.autograd.grad(loss, model.head.weight)[0].numpy()


@pytest.mark.parametrize(("pooling", "classes"), EVERY)
def test_bag_probabilities_are_those_of_a_loop(pooling: str, classes: int) -> None:
    model, bags = double_model(pooling, classes), vectors(SIZES)
    probs = model(lay_out(bags)).softmax(-1).detach().numpy()
    np.testing.assert_allclose(probs, [naive_bag(model, pooling, bag)[0] for bag in bags], rtol=1e-12)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_bag_features_are_those_of_a_loop(pooling: str) -> None:
    model, bags = double_model(pooling, 2), vectors(SIZES)
    expected = [naive_bag(model, pooling, bag)[1] for bag in bags]
    np.testing.assert_allclose(embed(model, bags, PSEUDO).features, expected, rtol=1e-11, atol=1e-14)


def test_mean_softmax_logits_are_the_mean_of_instance_logits() -> None:
    model, bags = double_model("mean_softmax", 3), vectors(SIZES)
    expected = [model.head(model.encoder(bag.double())).mean(0).tolist() for bag in bags]
    np.testing.assert_allclose(model(lay_out(bags)).tolist(), expected, rtol=1e-12)


@pytest.mark.parametrize("pooling", POOLINGS)
@settings(max_examples=8)
@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_padding_never_matters(pooling: str, sizes: list[int], seed: int) -> None:
    model, bags = double_model(pooling, 2), vectors(sizes, seed)
    together, alone = embed(model, bags, PSEUDO), [embed(model, [bag], PSEUDO) for bag in bags]
    np.testing.assert_allclose(together.logits, np.concatenate([one.logits for one in alone]), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(together.features, np.concatenate([one.features for one in alone]), atol=1e-13)
    assert together.gradient is not None
    norms = [one.gradient.norm[0] for one in alone if one.gradient is not None]
    np.testing.assert_allclose(together.gradient.norm, norms, rtol=1e-10)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_embedded_logits_are_the_models_own(pooling: str) -> None:
    model, bags = double_model(pooling, 2), vectors(SIZES)
    found = embed(model, bags, EmbeddingSpec(Need.LOGITS))
    np.testing.assert_allclose(found.logits, model(lay_out(bags)).detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    ("pooling", "classes", "label"),
    [
        (pooling, classes, label)
        for pooling, classes in EVERY
        for label in ("pseudo", "known")
        if (classes, label) != (3, "known")
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_closed_form_gradient_is_autograds(pooling: str, classes: int, label: str, seed: int) -> None:
    model, bags = double_model(pooling, classes, seed), vectors(SIZES, seed)
    found = embed(model, bags, EmbeddingSpec(Need.GRADIENT, label))
    assert found.gradient is not None
    for bag, logits, left, right in zip(bags, found.logits, found.gradient.left, found.gradient.right, strict=True):
        expected = autograd_gradient(model, bag, int(logits.argmax()) if label == "pseudo" else 0)
        factored = np.outer(left, right).reshape(-1, 4)
        np.testing.assert_allclose(factored, expected[:1] * 2**0.5 if classes == 2 else expected, atol=1e-10)


@pytest.mark.parametrize(("pooling", "classes"), EVERY)
def test_gradient_norm_is_autograds(pooling: str, classes: int) -> None:
    model, bags = double_model(pooling, classes), vectors(SIZES)
    found = embed(model, bags, PSEUDO)
    expected = [
        np.linalg.norm(autograd_gradient(model, b, int(z.argmax()))) for b, z in zip(bags, found.logits, strict=True)
    ]
    assert found.gradient is not None
    np.testing.assert_allclose(found.gradient.norm, expected, rtol=1e-9)


@pytest.mark.parametrize(("target", "negative"), [(1, 0), (0, 1)])
def test_known_label_is_the_class_other_than_the_target(target: int, negative: int) -> None:
    model, bags = double_model("mean_softmax", 2), vectors(SIZES)
    found = embed(model, bags, EmbeddingSpec(Need.GRADIENT, "known", target))
    expected = [np.linalg.norm(autograd_gradient(model, bag, negative)) for bag in bags]
    assert found.gradient is not None
    np.testing.assert_allclose(found.gradient.norm, expected, rtol=1e-9)


def test_mean_softmax_gradient_norm_is_the_papers_closed_form() -> None:
    model, bags = double_model("mean_softmax", 2), vectors(SIZES)
    found = embed(model, bags, PSEUDO)
    probs = np.array([naive_bag(model, "mean_softmax", bag)[0] for bag in bags])
    expected = 2**0.5 * (1 - probs.max(1)) * np.linalg.norm(found.features, axis=1)
    assert found.gradient is not None
    np.testing.assert_allclose(found.gradient.norm, expected, rtol=1e-10)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_known_label_with_three_classes_is_bad_input(pooling: str) -> None:
    with pytest.raises(BadInput, match=r"label=known with 3 classes.*use label=pseudo"):
        embed(double_model(pooling, 3), vectors(SIZES), KNOWN)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("ask", [PSEUDO, KNOWN], ids=["pseudo", "known"])
def test_gradient_of_a_saturated_model_is_finite(pooling: str, ask: EmbeddingSpec) -> None:
    model = double_model(pooling, 2)
    model.head.weight.data *= 5_000
    found = embed(model, vectors(SIZES), ask)
    assert found.gradient is not None
    assert np.isfinite(found.gradient.norm).all()


@pytest.mark.parametrize("gap", [0.0, 1.0, 40.0, 200.0])
def test_residual_does_not_cancel(gap: float) -> None:
    probs = torch.tensor([[gap, 0.0]], dtype=torch.float64).softmax(1)
    other = math.exp(-gap) / (1 + math.exp(-gap))
    np.testing.assert_allclose(residual(probs, torch.tensor([0])).numpy(), [[-other, other]], rtol=1e-14)


@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=6))
def test_spread_puts_bags_side_by_side(sizes: list[int]) -> None:
    values = torch.arange(1.0, 1 + 2 * sum(sizes)).view(-1, 2)
    side_by_side, mask = pad_bags(values, np.array(sizes))
    parts = list(torch.split(values, sizes))
    expected = torch.nn.utils.rnn.pad_sequence(parts, batch_first=True)
    assert torch.equal(side_by_side, expected)
    assert mask.tolist() == [[1.0] * size + [0.0] * (max(sizes) - size) for size in sizes]


@pytest.mark.parametrize("batch", [[torch.ones(2, 3)], {"bags": torch.ones(1, 2, 3)}])
def test_a_batch_of_another_form_is_refused(batch: Batch) -> None:
    with pytest.raises(BadData, match=r"a batch of type \w+ for a BagClassifier; expected a BagBatch, or a tensor"):
        double_model("mean_softmax", 2).embed(batch, np.arange(1), KNOWN)
