"""Positives, pool, validation and test clips of one target. The validation clips are the same for all targets."""

import numpy as np
from numpy.typing import NDArray

from negsift.common.arrays import Index
from negsift.common.data.audio.config import ClipForm
from negsift.common.data.audio.logmel import real_frames
from negsift.common.data.audioset.classes import clip_class
from negsift.common.data.audioset.clips import Clips, ClipSet
from negsift.common.data.config import DataConfig
from negsift.common.data.split import Split
from negsift.common.errors import BadData, BadInput
from negsift.common.rng import generator

_AT_ONCE = 256


def split_clips(train: Clips, test: Clips, config: DataConfig) -> Split:
    """The sets for `config.target`, a class by number, name or mid.

    With `exclude_descendants` the pool has no clip of a class below the target in the ontology: such a clip is a
    positive without the label (1,735 of AudioSet's 21,426 negatives for Animal). Raises UnknownName for a class,
    BadData where a kind of clip is missing, BadInput for an ambiguous target or without an ontology.
    """
    target = clip_class(config.target, train.vocabulary)
    set_aside = validation_rows(train, config.val_share, config.bag_seed)
    rest = np.setdiff1d(np.arange(len(train)), set_aside)
    form = _form(train, rest)
    sets = [_labelled(clips, target, name, form) for clips, name in ((train, "train"), (test, "test"))]
    training, val = sets[0].subset(rest), sets[0].subset(set_aside)
    pool = negatives = training.only(0)
    if config.audio.exclude_descendants:
        pool = negatives.subset(np.flatnonzero(~_below(train, target)[negatives.rows]))
    split = Split(training.only(1), pool, val, sets[1], descendants=len(negatives) - len(pool))
    _require_kinds(split, train.classes[target])
    return split


def validation_rows(clips: Clips, share: float, seed: int) -> Index:
    """The rows of a stratified `share` of the clips, ascending.

    Iterative stratification (Sechidis et al., ECML 2011) for one set: classes are treated from the rarest to the most
    frequent, and clips chosen for earlier classes count for later ones. Clips without a class are one more class.
    The result depends on the class list and not on the target. Raises BadInput for a share outside (0, 1).
    """
    if not 0.0 < share < 1.0:
        raise BadInput(f"data.val_share={share}", "a share between 0 and 1", "correct it")
    order = generator(seed, "validation").permutation(len(clips))
    has_MC = np.stack([clips.tagged([mid]) for mid in clips.vocabulary.mids], 1)
    # Clips without a listed class form a class of their own, or none of them would be set aside.
    has_MC = np.concatenate([has_MC, ~has_MC.any(1, keepdims=True)], 1)
    chosen = np.zeros(len(clips), dtype=np.bool_)
    treated = np.zeros(len(clips), dtype=np.bool_)
    for number in sorted(range(has_MC.shape[1]), key=lambda number: int(has_MC[:, number].sum())):
        members = has_MC[:, number]
        lacking = max(1, round(share * int(members.sum()))) - int((chosen & members).sum())
        free = order[(members & ~treated)[order]]
        chosen[free[: max(0, lacking)]] = True
        treated |= members
    return np.flatnonzero(chosen).astype(np.int64)


def _labelled(clips: Clips, target: int, name: str, form: ClipForm) -> ClipSet:
    label = clips.tagged([clips.vocabulary.mids[target]]).astype(np.int64)
    return ClipSet(clips, np.arange(len(clips), dtype=np.int64), label, f"{name}-class{target}", form)


def _below(train: Clips, target: int) -> NDArray[np.bool_]:
    """Whether each clip has a class below the target in the ontology, (M,)."""
    ontology, mid = train.vocabulary.ontology, train.vocabulary.mids[target]
    if ontology is None:
        raise BadInput("exclude_descendants without an ontology", "ontology.json in data.root", "copy it there")
    if mid not in ontology.children:
        found = f"exclude_descendants of {mid}, which is not in ontology.json"
        raise BadInput(found, "a class of the ontology", "download ontology.json again")
    return train.tagged(ontology.descendants(mid))


def _form(train: Clips, rest: Index) -> ClipForm:
    """The form, with the configured statistics or else those of the clips at `rest`."""
    config = train.store.config
    statistics = config.given_stats()
    if statistics is not None:
        return ClipForm(config.frames, config.mels, *statistics)
    sums, count = np.zeros(2), 0
    for start in range(0, len(rest), _AT_ONCE):
        # Filled frames are constants, which would shift the mean and shrink the deviation.
        feats = train.store.features(train.number[rest[start : start + _AT_ONCE]])[:, : real_frames(config)]
        values = feats.astype(np.float64)
        sums, count = sums + (values.sum(), np.square(values).sum()), count + values.size
    mean = float(sums[0] / count)
    return ClipForm(config.frames, config.mels, mean, float(np.sqrt(sums[1] / count - mean**2)))


def _require_kinds(split: Split, name: str) -> None:
    for part, label, purpose in (
        (split.positives, 1, "to train with"), (split.pool, 0, "to choose from"), (split.val, 1, "to validate with"),
        (split.val, 0, "to validate with"), (split.test, 1, "to test with"), (split.test, 0, "to test with"),
    ):  # fmt: skip
        if not (part.label == label).any():
            kind = "positive" if label else "negative"
            raise BadData(f"no {kind} clip of {name!r} {purpose}", "at least one", "choose another data.target")
