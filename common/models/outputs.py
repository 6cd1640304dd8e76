"""A module's outputs read as bag logits: probabilities recognised or converted, and outputs compared with a head's.

N bags, n instances of a bag, K columns; a single column is that of the positive class.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from negsift.common.errors import BadModel

OUTPUTS = ("logits", "probability")


def logits_in(output: object) -> object:
    """The output itself, or the `logits` of a mapping or object, as Hugging Face's models give it."""
    return output.get("logits", output) if isinstance(output, Mapping) else getattr(output, "logits", output)


def bag_logits(output: object, count: int) -> Tensor:
    """A module's output for `count` bags as (N, K): logits also without their axes of length 1. Raises BadModel for any
    other form.
    """
    if type(output) is Tensor and output.ndim == 2 and len(output) == count and output.is_floating_point():
        return output  # first, since it is nearly all there is
    given = logits_in(output)
    logits = given.reshape(1, -1) if isinstance(given, Tensor) and count == 1 and given.ndim < 2 else given
    logits = logits[:, None] if isinstance(logits, Tensor) and logits.ndim == 1 else logits
    if isinstance(logits, Tensor) and logits.ndim == 2 and len(logits) == count and logits.is_floating_point():
        return logits
    found = f"{tuple(logits.shape)} {logits.dtype}" if isinstance(logits, Tensor) else type(logits).__name__
    raise BadModel(f"an output of {found} for {count} bags", "bag logits (N, K)", "return them from the forward")


def agree(outputs_NK: Tensor, head_NnK: Tensor, kind: str) -> bool:
    """Whether outputs of a `kind` are those of the head, or follow from their mean over instances, but for rounding.

    Logits may differ by one number a bag, as log-softmax does: no probability depends on it. Bags whose outputs are
    not finite say nothing.
    """
    mean_NK, found_NK = head_NnK.float().mean(1), outputs_NK.float()
    if mean_NK.shape != found_NK.shape:
        return False
    scale_N1 = head_NnK.float().abs().amax((1, 2))[:, None]
    if kind == "probability":
        expected_NK, scale_N1 = _probabilities(mean_NK), torch.ones_like(scale_N1)
    else:
        expected_NK, found_NK = _centred(mean_NK), _centred(found_NK)
    close_NK = (expected_NK - found_NK).abs() <= max(_rounding(outputs_NK), _rounding(head_NnK)) * (scale_N1 + 0.1)
    return bool(close_NK.all()) or bool((close_NK | ~(expected_NK + found_NK).isfinite()).all())


def all_finite(outputs_NK: Tensor) -> bool:
    """Whether all outputs are finite."""
    return bool(outputs_NK.isfinite().all())


def look_like_probabilities(outputs_NK: Tensor) -> bool:
    """Whether all finite rows, of which there are some, lie in [0, 1] and sum to one if there are several columns."""
    rows_NK = outputs_NK[outputs_NK.isfinite().all(1)].float()
    sums_to_one = ((rows_NK.sum(1) - 1).abs() <= _rounding(outputs_NK)) | (rows_NK.shape[1] == 1)
    return len(rows_NK) > 0 and bool(((rows_NK >= 0) & (rows_NK <= 1) & sums_to_one[:, None]).all())


def logits_of_probabilities(outputs_NK: Tensor) -> Tensor:
    """log p of each class, or log p/(1-p) of a single column; p of 0 and 1 count as the nearest number between.

    Raises BadModel unless the finite rows are probabilities.
    """
    finite_NK = outputs_NK[outputs_NK.isfinite().all(1)]
    if len(finite_NK) and not look_like_probabilities(finite_NK):
        low, high = (float(edge) for edge in finite_NK.aminmax())
        raise BadModel(
            f"outputs from {low:.3g} to {high:.3g} with outputs='probability'",
            "numbers in [0, 1], and rows that sum to one if there are several columns", "give outputs='logits'",
        )  # fmt: skip
    wide_NK = outputs_NK if outputs_NK.dtype == torch.float64 else outputs_NK.float()
    limits = torch.finfo(wide_NK.dtype)
    if wide_NK.shape[1] > 1:
        return wide_NK.clamp(min=limits.tiny).log()
    inner_NK = wide_NK.clamp(limits.tiny, 1 - limits.eps / 2)
    return inner_NK.log() - (-inner_NK).log1p()


def remembered_logits(outputs_NK: Tensor, kind: str | None) -> Tensor:
    """A module's outputs of a `kind` as logits (N, K) with two columns at least. Raises BadModel for probabilities that
    are none.
    """
    return two_columns(logits_of_probabilities(outputs_NK) if kind == "probability" else outputs_NK)


def two_columns(logits_NK: Tensor) -> Tensor:
    """The logits themselves, or (0, z) for a single logit z, which stands for the positive class."""
    if logits_NK.shape[1] != 1:
        return logits_NK
    return torch.stack([torch.zeros_like(logits_NK[:, 0]), logits_NK[:, 0]], 1)


def _rounding(values: Tensor) -> float:
    """The relative difference that other orders of summation make, at most."""
    return max(1e-3, 8 * torch.finfo(values.dtype).eps)


def _probabilities(logits_NK: Tensor) -> Tensor:
    return logits_NK.sigmoid() if logits_NK.shape[1] == 1 else logits_NK.softmax(1)


def _centred(logits_NK: Tensor) -> Tensor:
    return logits_NK if logits_NK.shape[1] == 1 else logits_NK - logits_NK.mean(1, keepdim=True)
