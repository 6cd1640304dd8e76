"""What a user's module gives: probabilities told from logits, a guessed head checked, precisions mixed."""

from collections import UserDict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from negsift.common.errors import BadInput, BadModel, UnknownName
from negsift.common.models.embedder import as_embedder, logit_columns
from negsift.common.types import Embedded, EmbeddingSpec, Need
from tests.unit.toys import MeanNet, assert_same, select, vector_model, vectors

POOL = vectors([3] * 40)
BAGS = torch.stack(POOL[:8])
FEATURES, GRADIENT = EmbeddingSpec(Need.FEATURES), EmbeddingSpec(Need.GRADIENT)


class Ending(MeanNet):
    """The toy network with a last function on its bag logits."""

    def __init__(self, classes: int, end: Callable[[Tensor], Tensor], scale: float = 1.0) -> None:
        super().__init__(classes)
        self.end, self.scale = end, scale

    def forward(self, bags: Tensor) -> Tensor:
        return self.end(super().forward(bags) * self.scale)


class GatedAttention(nn.Module):
    """ABMIL (Ilse, Tomczak and Welling, 2018), its attention made after the classifier."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.classifier = nn.Linear(6, classes)
            self.value, self.gate, self.attention = nn.Linear(6, 4), nn.Linear(6, 4), nn.Linear(4, 1)

    def forward(self, bags: Tensor) -> Tensor:
        weight = self.attention(self.value(bags).tanh() * self.gate(bags).sigmoid()).softmax(1)
        return self.classifier((weight * bags).sum(1))


class TwoStreams(nn.Module):
    """As DSMIL: instance scores, queries of the critical instance, and a convolution as the bag classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.instances, self.bag, self.query = nn.Linear(6, 2), nn.Conv1d(2, 2, 6), nn.Linear(6, 2)

    def forward(self, bags: Tensor) -> Tensor:
        queries = self.query(bags)
        weight = (queries @ queries.amax(1, keepdim=True).transpose(1, 2)).softmax(1)
        return self.bag((weight.transpose(1, 2) @ bags).expand(-1, 2, -1)).squeeze(2) + self.instances(bags).amax(1)


def embed(model: nn.Module, spec: EmbeddingSpec = FEATURES, bags: Any = BAGS, **options: Any) -> Embedded:
    with torch.inference_mode():
        return as_embedder(model, **options).embed(bags, np.arange(8), spec)


PROBABLE = [
    (1, torch.sigmoid), (1, lambda z: z.sigmoid()[:, 0]), (2, lambda z: z.softmax(1)), (5, lambda z: z.softmax(1)),
]  # fmt: skip


@pytest.mark.parametrize("head", [None, "fc"])
@pytest.mark.parametrize(("classes", "end"), PROBABLE)
def test_probabilities_are_not_taken_for_logits(classes: int, end: Callable[[Tensor], Tensor], head: str) -> None:
    with pytest.raises(BadModel, match=r"all probabilities.*return what enters the sigmoid.*outputs='probability'"):
        embed(Ending(classes, end), head=head)


@pytest.mark.parametrize("spec", [FEATURES, GRADIENT])
@pytest.mark.parametrize(("classes", "end"), PROBABLE)
def test_probabilities_by_name_are_the_logits_they_come_from(
    classes: int, end: Callable[[Tensor], Tensor], spec: EmbeddingSpec
) -> None:
    plain = embed(MeanNet(classes), spec)
    found = embed(Ending(classes, end), spec, outputs="probability")
    gaps, expected = (each.logits - each.logits[:, :1] for each in (found, plain))
    np.testing.assert_allclose(gaps, expected, atol=1e-5)
    np.testing.assert_array_equal(found.features, plain.features)
    if plain.gradient and found.gradient:
        np.testing.assert_allclose(found.gradient.left, plain.gradient.left, atol=1e-6)


@pytest.mark.parametrize("name", ["entropy", "margin", "badge"])
def test_a_network_that_ends_in_a_sigmoid_picks_as_the_one_without(name: str) -> None:
    found = select(POOL, Ending(1, torch.sigmoid), name, 9, outputs="probability")
    assert set(found.index.tolist()) == set(select(POOL, MeanNet(1), name, 9).index.tolist())


@pytest.mark.parametrize("classes", [1, 2])
def test_saturated_probabilities_are_finite_logits(classes: int) -> None:
    end = torch.sigmoid if classes == 1 else (lambda z: z.softmax(1))
    logits = embed(Ending(classes, end, scale=1e4), outputs="probability", head="fc").logits
    assert np.isfinite(logits).all()
    assert (np.abs(logits[:, 1] - logits[:, 0]) > 15).all()


@pytest.mark.parametrize(
    ("classes", "end"), [(1, lambda z: z + 5), (2, lambda z: z.sigmoid()), (2, lambda z: -z.softmax(1))]
)
def test_outputs_that_are_no_probabilities_are_not_taken_for_them(
    classes: int, end: Callable[[Tensor], Tensor]
) -> None:
    with pytest.raises(BadModel, match=r"with outputs='probability'; expected numbers in \[0, 1\]"):
        embed(Ending(classes, end), outputs="probability")


def test_a_new_networks_small_logits_are_not_taken_for_probabilities() -> None:
    net = MeanNet(1)
    nn.init.constant_(net.fc.weight, 1e-3)
    nn.init.constant_(net.fc.bias, 0.5)
    assert ((net(BAGS) > 0) & (net(BAGS) < 1)).all()
    np.testing.assert_allclose(embed(net).logits[:, 1:], net(BAGS).detach().numpy(), rtol=1e-6)


def test_log_softmax_counts_as_logits() -> None:
    found, plain = embed(Ending(3, lambda z: z.log_softmax(1)), GRADIENT), embed(MeanNet(3), GRADIENT)
    assert found.gradient is not None
    assert plain.gradient is not None
    np.testing.assert_allclose(found.gradient.left, plain.gradient.left, atol=1e-6)


@pytest.mark.parametrize("classes", [1, 2])
def test_an_attention_layer_is_not_taken_for_the_classifier(classes: int) -> None:
    net = GatedAttention(classes)
    with pytest.raises(BadModel, match=r"the last nn\.Linear, 'attention'.*name the layer .* with head="):
        embed(net)
    pooled = embed(net, GRADIENT, head="classifier").features
    assert pooled.shape == (8, 6)
    np.testing.assert_allclose(pooled @ net.classifier.weight.detach().numpy().T, net(BAGS).detach().numpy() - net.classifier.bias.detach().numpy(), atol=1e-6)  # fmt: skip


@pytest.mark.parametrize("name", ["svm_margin", "k_center", "badge"])
def test_a_convolution_as_classifier_asks_for_head(name: str) -> None:
    with pytest.raises(BadModel, match=r"logits that are neither the outputs of the last nn\.Linear, 'query', nor"):
        select(POOL, TwoStreams(), name, 5, positives=POOL[:4])


def test_strategies_of_logits_need_no_head() -> None:
    net = TwoStreams()
    assert set(select(POOL, net, "entropy", 5).index) == set(select(POOL, net, "entropy", 5, head="query").index)


def test_a_head_of_another_width_is_told_with_both_numbers() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(18, 4), nn.Unflatten(1, (4, 1)), nn.Conv1d(4, 2, 1), nn.Flatten())
    with pytest.raises(BadModel, match=r"4 outputs of the last nn\.Linear, '1', for logits of 2 columns"):
        embed(net)
    assert embed(net, head="1").features.shape == (8, 18)


class Halved(MeanNet):
    """Runs in bfloat16 by itself."""

    def forward(self, bags: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return super().forward(bags)


class HalvedWithin(Halved):
    """The same, but its logits are float32."""

    def forward(self, bags: Tensor) -> Tensor:
        return super().forward(bags).float()


@pytest.mark.parametrize("net", [Halved(), HalvedWithin()])
def test_autocast_in_the_forward_has_gradients_near_those_without(net: nn.Module) -> None:
    found, plain = embed(net, GRADIENT), embed(MeanNet(), GRADIENT)
    assert found.gradient is not None
    assert plain.gradient is not None
    np.testing.assert_allclose(found.gradient.left, plain.gradient.left, atol=0.02)


class Masked(MeanNet):
    """Takes padded bags and a mask in a dict; its head reads instances."""

    def forward(self, batch: Any) -> Tensor:  # Any: a mapping of bags and mask
        logits, mask = self.fc(self.body(batch["bags"]).tanh()), batch["mask"][..., None]
        return (logits * mask).sum(1) / mask.sum(1)


MASK = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0], [0, 1, 1]] * 2)


@pytest.mark.parametrize("kind", [MASK.float(), MASK.bool(), MASK])
@pytest.mark.parametrize("form", [dict, UserDict])
def test_features_of_padded_bags_are_means_over_their_mask(kind: Tensor, form: Any) -> None:  # Any: makes a mapping
    padded = torch.where(MASK[..., None].bool(), BAGS, 7.0)
    found = embed(Masked(), GRADIENT, form({"bags": padded, "mask": kind, "more": torch.zeros(8, 3)}))
    alone = [embed_one(MeanNet(), bag[kept.bool()]) for bag, kept in zip(BAGS, MASK, strict=True)]
    np.testing.assert_allclose(found.features, np.concatenate([each.features for each in alone]), atol=1e-6)
    np.testing.assert_allclose(found.logits, np.concatenate([each.logits for each in alone]), atol=1e-6)
    assert found.gradient is not None


def embed_one(model: nn.Module, bag: Tensor) -> Embedded:
    with torch.inference_mode():
        return as_embedder(model).embed(bag[None], np.zeros(1, dtype=np.int64), GRADIENT)


class Weighted(Masked):
    """Its weights are no mask."""

    def forward(self, batch: Any) -> Tensor:  # Any: as above
        return super().forward({"bags": batch["bags"], "mask": batch["mask"] * torch.tensor([0.5, 1.0, 2.0])})


def test_a_head_on_padded_instances_without_their_mask_says_what_to_do() -> None:
    batch = {"bags": BAGS, "mask": MASK * 2.0}
    assert embed(Weighted(), EmbeddingSpec(Need.LOGITS), batch).logits.shape == (8, 2)
    for head in (None, "fc"):
        with pytest.raises(
            BadModel, match=r"3 rows .* for each bag of a dict without a mask.*pool before the head, or"
        ):
            embed(Weighted(), bags=batch, head=head)


class WithMask(MeanNet):
    """Takes bags and mask as two arguments."""

    def forward(self, bags: Tensor, mask: Tensor) -> Tensor:  # type: ignore[override]  # another form of bags
        return Masked.forward(self, {"bags": bags, "mask": mask})  # type: ignore[arg-type]  # of the same layers


class Anything(nn.Module):
    """A wrapper, as PEFT's."""

    def __init__(self) -> None:
        super().__init__()
        self.base_model = WithMask()

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:  # Any: whatever the inner one takes
        output: Tensor = self.base_model(*args, **kwargs)
        return output


def test_a_forward_of_two_arguments_is_refused_at_once_without_collate() -> None:
    with pytest.raises(
        BadModel, match=r"WithMask\.forward\(bags, mask\); expected a forward of one argument.*a dict of"
    ):
        as_embedder(WithMask())
    with pytest.raises(BadModel, match=r"WithMask\.forward\(bags, mask\)"):
        embed(WithMask(), bags=BAGS, collated=True)


@pytest.mark.parametrize("model", [WithMask(), Anything()])
def test_a_dict_of_a_forwards_arguments_is_given_as_keywords(model: nn.Module) -> None:
    batch = {"mask": MASK, "bags": BAGS}
    found = embed(model, GRADIENT, batch, collated=True)
    np.testing.assert_array_equal(found.logits, embed(Masked(), GRADIENT, batch).logits)


class Named(dict[str, Tensor]):
    """As the outputs of Hugging Face's models."""


@pytest.mark.parametrize("form", [Named, lambda **parts: SimpleNamespace(**parts)])
def test_logits_may_be_named_in_the_output(form: Any) -> None:  # Any: makes an output
    named = Ending(2, lambda z: form(loss=z.sum(), logits=z))  # type: ignore[arg-type, return-value]  # an output of another form
    np.testing.assert_array_equal(embed(named, GRADIENT).logits, embed(MeanNet(2), GRADIENT).logits)


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("name", ["entropy", "badge"])
def test_squeezed_logits_of_a_last_block_of_one_bag_are_its(classes: int, name: str) -> None:
    pool = vectors([3] * 9)  # blocks of 8
    one, two = (select(pool, net, name, 9) for net in (Ending(classes, lambda z: z.squeeze()), MeanNet(classes)))
    assert_same(one, two)


class Unused(MeanNet):
    """As CLAM: the last linear layer is for training alone."""

    def __init__(self) -> None:
        super().__init__()
        self.instances = nn.Linear(4, 2)


@pytest.mark.parametrize("net", [Unused(), nn.Sequential(nn.Flatten(), nn.Unflatten(1, (2, 9)), nn.AdaptiveAvgPool1d(1), nn.Flatten())])  # fmt: skip
def test_strategies_of_logits_need_no_linear_head(net: nn.Module) -> None:
    assert len(select(POOL, net, "entropy", 5).index) == len(select(POOL, net, "random", 5).index) == 5
    with pytest.raises(BadModel, match=r"a head that is not used, 'instances'|no nn\.Linear in the model"):
        select(POOL, net, "badge", 5)


def test_class_numbers_are_not_logits() -> None:
    with pytest.raises(BadModel, match=r"an output of \(8, 1\) torch\.int64 for 8 bags; expected bag logits"):
        embed(Ending(2, lambda z: z.argmax(1)))


def test_outputs_are_of_a_known_kind_and_our_own_classifiers_give_logits() -> None:
    with pytest.raises(UnknownName, match="outputs 'probabilities'.*did you mean 'probability'"):
        as_embedder(MeanNet(), outputs="probabilities")
    with pytest.raises(BadInput, match="outputs='probability' with a BagClassifier"):
        as_embedder(vector_model(), outputs="probability")


@pytest.mark.parametrize(("model", "columns"), [(MeanNet(1), 2), (MeanNet(5), 5), (vector_model(classes=3), 3)])
def test_columns_are_known_before_a_forward_pass(model: nn.Module, columns: int) -> None:
    assert logit_columns(as_embedder(model)) == columns


def test_columns_of_a_model_with_a_named_head_are_not() -> None:
    assert logit_columns(as_embedder(MeanNet(), head="body")) is None


def test_later_passes_keep_the_logits_of_the_first_and_refuse_what_it_refuses() -> None:
    """Once a pass has shown that the outputs are the head's, the head is left alone, until other weights come."""
    model = as_embedder(Ending(2, lambda z: z))
    logits = EmbeddingSpec(Need.LOGITS)
    first, second = (model.embed(BAGS, np.arange(8), logits).logits for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert model.embed(BAGS, np.arange(8), GRADIENT).gradient is not None
    for form in (lambda bags: bags[:3], lambda bags: bags.long(), lambda bags: [bags]):
        model.module.end = form
        with pytest.raises(BadModel, match="for 8 bags; expected bag logits"):
            model.embed(BAGS, np.arange(8), logits)


def test_a_head_of_zeros_shows_nothing_of_the_next_weights() -> None:
    """Softmax of equal logits differs from them by one number a bag, as log-softmax would."""
    model, logits = as_embedder(Ending(2, lambda z: z.softmax(1))), EmbeddingSpec(Need.LOGITS)
    weights = model.state_dict()
    model.load_state_dict({name: torch.zeros_like(value) for name, value in weights.items()})
    model.embed(BAGS, np.arange(8), logits)
    model.load_state_dict(MeanNet(2).state_dict())
    with pytest.raises(BadModel, match="all probabilities"):
        model.embed(BAGS, np.arange(8), logits)
