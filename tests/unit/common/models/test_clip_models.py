"""PSLA and its small sister: sizes, the head against loops, the gradient embedding against autograd."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from negsift.common.data.audio.config import ClipForm
from negsift.common.errors import BadData, BadInput, BadModel, UnknownName
from negsift.common.models.attention import AttentionHead
from negsift.common.models.clip import ClipClassifier
from negsift.common.models.config import CLIP_MODELS, ModelConfig
from negsift.common.models.psla import BandNorm, make_clip_model
from negsift.common.types import Embedded, EmbeddingSpec, Need
from negsift.service import NegativeSampler

FORM = ClipForm(96, 32, -4.6476, 4.5699)
PSLA_FORM = ClipForm(1056, 128, -4.6476, 4.5699)
LABELS = ("pseudo", "known")


def small(seed: int = 0, classes: int = 1) -> ClipClassifier:
    return make_clip_model(ModelConfig("small_attention"), FORM, seed, classes).eval()


def clips(count: int, form: ClipForm = FORM, seed: int = 0) -> Tensor:
    random = np.random.default_rng(seed).normal(form.mean, form.std, (count, form.frames, form.mels))
    return torch.from_numpy(random.astype(np.float16))


def sharp(model: ClipClassifier) -> ClipClassifier:
    """The model with a head so large that its probabilities are spread out."""
    with torch.no_grad():
        for part in (model.head.attention.weight, model.head.classifier.weight):
            part.mul_(40.0)
    return model


def embed(model: ClipClassifier, batch: Tensor, label: str = "pseudo") -> Embedded:
    with torch.inference_mode():
        return model.embed(batch, np.arange(len(batch)), EmbeddingSpec(Need.GRADIENT, label))


def naive_probability(head: AttentionHead, steps: np.ndarray) -> float:
    """One clip, one class, from the definition, a number at a time."""
    total = 0.0
    for h in range(4):
        weights = [
            (part.weight[h].detach().numpy(), float(part.bias[h].detach()))
            for part in (head.attention, head.classifier)
        ]
        looks, says = ([1 / (1 + math.exp(-(w @ x + b))) for x in steps] for w, b in weights)
        looks = [min(max(look, 1e-7), 1 - 1e-7) for look in looks]
        total += float(head.head_weight[h].detach()) * sum(a * c for a, c in zip(looks, says, strict=True)) / sum(looks)
    return total


@pytest.mark.parametrize(
    ("classes", "parameters"), [(1, 7_711_694), (2, 7_722_966), (40, 8_151_302), (527, 13_640_766)]
)
def test_psla_has_the_parameters_of_the_paper(classes: int, parameters: int) -> None:
    with torch.device("meta"):
        model = make_clip_model(ModelConfig("psla"), PSLA_FORM, 0, classes)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_psla_goes_forward_and_backward() -> None:
    form = ClipForm(96, 64, 0.0, 1.0)
    model = make_clip_model(ModelConfig("psla"), form, 0).train()
    batch = clips(1, form)
    torch.nn.functional.cross_entropy(model(batch), torch.ones(1, dtype=torch.long)).backward()
    assert model.steps(batch).shape == (1, 3, 1408)
    assert all(part.grad is not None and part.grad.isfinite().all() for part in model.parameters())


@pytest.mark.parametrize("name", CLIP_MODELS)
@pytest.mark.parametrize("form", [PSLA_FORM, ClipForm(33, 40, 0.0, 1.0)])
def test_models_take_clips_of_any_form(name: str, form: ClipForm) -> None:
    model = make_clip_model(ModelConfig(name), form, 0).eval()
    with torch.inference_mode():
        assert model(clips(1, form)).shape == (1, 2)
        steps = model.steps(clips(1, form))
    assert steps.shape[::2] == (1, model.head.classifier.in_features)
    assert steps.shape[1] == -(-form.frames // 32) or name != "psla"


def test_bands_are_standardised_over_frames_without_padding() -> None:
    clip = torch.randn(2, 50, 8) * 3 + torch.arange(8.0)
    clip[0, 30:40], clip[0, 40:] = -2.47, 1.017
    found = BandNorm()(clip)
    real = clip[0, :30]
    expected = (real - real.mean(0)) / (real.std(0, correction=0) + 0.1)
    torch.testing.assert_close(found[0, :30], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[0, 30:], torch.zeros(20, 8))
    torch.testing.assert_close(found[1].mean(0), torch.zeros(8), rtol=0, atol=1e-5)


def test_a_clip_of_silence_is_finite() -> None:
    model = small()
    assert model(torch.full((2, 96, 32), -15.94)).isfinite().all()


def test_the_head_is_that_of_a_loop() -> None:
    model = sharp(small()).double()
    steps = model.steps(clips(5)).detach()
    expected = [naive_probability(model.head, clip.numpy()) for clip in steps]
    np.testing.assert_allclose(model.head(steps)[:, 0].detach().numpy(), expected, rtol=1e-12)
    np.testing.assert_allclose(model(clips(5)).softmax(1)[:, 1].detach().numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize(("name", "label"), [*(("small_attention", label) for label in LABELS), ("psla", "pseudo")])
def test_the_gradient_embedding_is_autograds(name: str, label: str) -> None:
    form = ClipForm(96, 64, -4.6476, 4.5699)
    model = sharp(make_clip_model(ModelConfig(name), form, 1).eval()).double()
    found = embed(model, clips(2, form), label).gradient
    assert found is not None
    for row, clip in enumerate(clips(2, form)):
        logits = model(clip[None])
        target = logits.argmax(1) if label == "pseudo" else torch.zeros(1, dtype=torch.long)
        wanted = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, target), model.head.classifier.weight)
        product = np.outer(found.left[row], found.right[row])[0].reshape(4, -1)
        np.testing.assert_allclose(product, wanted[0].numpy(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("push", [50.0, -50.0])
def test_probabilities_beyond_0_and_1_are_clamped(push: float) -> None:
    model = small().double()
    with torch.no_grad():
        model.head.head_weight.fill_(push)
    found = embed(model, clips(3))
    assert found.gradient is not None
    np.testing.assert_array_equal(found.gradient.norm, 0.0)
    probs = model(clips(3)).softmax(1)[:, 1]
    np.testing.assert_allclose(probs.detach().numpy(), 1 - 1e-7 if push > 0 else 1e-7, rtol=1e-6)


def test_features_are_the_mean_of_the_steps() -> None:
    model = small()
    np.testing.assert_array_equal(embed(model, clips(3)).features, model.steps(clips(3)).mean(1).detach().numpy())


def test_cross_entropy_of_logits_is_binary_cross_entropy() -> None:
    model, soft = sharp(small()).double(), torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    logits = model(clips(3))
    ours = torch.nn.functional.cross_entropy(logits, torch.stack([1 - soft, soft], 1))
    probs = model.head(model.steps(clips(3)))[:, 0]
    expected = torch.nn.functional.binary_cross_entropy(probs, soft)
    torch.testing.assert_close(ours, expected, rtol=1e-12, atol=0)


def test_many_classes_give_a_logit_each_and_no_gradient() -> None:
    assert small(classes=3)(clips(2)).shape == (2, 3)
    with pytest.raises(BadModel, match="gradients of 3 classes at once; expected one class"):
        embed(small(classes=3), clips(2))


def test_weights_are_a_function_of_the_seed() -> None:
    one, again, other = (small(seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not torch.equal(one["head.classifier.weight"], other["head.classifier.weight"])


@pytest.mark.parametrize("name", ["entropy", "gradient_embedding", "badge", "svm_margin"])
def test_strategies_pick_the_same_clips_on_any_shards(name: str) -> None:
    pool = [(clip, 0) for clip in clips(40)]
    positives = [(clip, 1) for clip in clips(6, seed=1)]
    found = []
    for shards in (1, 3):
        with NegativeSampler(pool, small(), strategy=name, k=7, shards=shards, positives=positives) as sampler:
            found.append(sampler.select(small().state_dict(), 0).index)
    np.testing.assert_array_equal(*found)


def test_unknown_model_lists_those_for_clips() -> None:
    with pytest.raises(UnknownName, match="model for clips 'simple_cnn'.*psla, small_attention"):
        make_clip_model(ModelConfig("simple_cnn"), FORM, 0)


def test_clips_too_small_are_bad_input() -> None:
    with pytest.raises(BadInput, match="16 frames x 64 mel bands; expected at least 32"):
        make_clip_model(ModelConfig("psla"), ClipForm(16, 64, 0.0, 1.0), 0)


def test_a_batch_of_another_form_is_refused() -> None:
    with pytest.raises(BadData, match="a batch of type list for a ClipClassifier; expected a tensor"):
        small()([clips(1)])
