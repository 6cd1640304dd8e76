"""Positives, pool, validation and test clips of one target; the same validation clips for all targets."""

import numpy as np
from numpy.typing import NDArray

from negsift.common.arrays import Index
from negsift.common.data.audio.config import ClipForm
from negsift.common.data.audio.logmel import real_frames
from negsift.common.data.audioset.clips import Clips, ClipSet
from negsift.common.data.config import DataConfig
from negsift.common.data.split import Split, class_number
from negsift.common.errors import BadData, BadInput
from negsift.common.rng import generator

_AT_ONCE = 256


def split_clips(train: Clips, test: Clips, config: DataConfig) -> Split:
    """The sets for `config.target`, by number, name or mid; the validation clips are set aside first.

    With `exclude_descendants`, clips of a class below the target in the ontology, but without the
    target itself, stay out of the pool: they are positives that nobody marked (1,735 of AudioSet's 21,426
    negatives for Animal). Raises UnknownName for a class, BadData where a kind of clip is missing.
    """
    target = _target(config.target, train)
    held = validation_rows(train, config.val_share, config.bag_seed)
    rest = np.setdiff1d(np.arange(len(train)), held)
    form = _form(train, rest)
    sets = [_labelled(clips, target, name, form) for clips, name in ((train, "train"), (test, "test"))]
    kept, val = sets[0].subset(rest), sets[0].subset(held)
    pool = kept.only(0)
    if config.audio.exclude_descendants:
        pool = pool.subset(np.flatnonzero(~_below(train, target)[pool.rows]))
    split = Split(kept.only(1), pool, val, sets[1])
    _require_kinds(split, train.classes[target])
    return split


def validation_rows(clips: Clips, share: float, seed: int) -> Index:
    """A share of every class, from the rarest to the most frequent, and of the clips without any; ascending.

    Iterative stratification (Sechidis et al., ECML 2011) with one side fixed: what earlier classes
    brought into the set counts for later ones. It depends on the class list, not on the target.
    """
    if not 0.0 < share < 1.0:
        raise BadInput(f"data.val_share={share}", "a share between 0 and 1", "correct --set")
    order = generator(seed, "validation").permutation(len(clips))
    has_MC = np.stack([clips.tagged([mid]) for mid in clips.vocabulary.mids], 1)
    kinds = np.concatenate([has_MC, ~has_MC.any(1, keepdims=True)], 1)
    held = np.zeros(len(clips), dtype=np.bool_)
    settled = np.zeros(len(clips), dtype=np.bool_)
    for kind in sorted(range(kinds.shape[1]), key=lambda kind: int(kinds[:, kind].sum())):
        mine = kinds[:, kind]
        wanted = max(1, round(share * int(mine.sum()))) - int((held & mine).sum())
        free = order[(mine & ~settled)[order]]
        held[free[: max(0, wanted)]] = True
        settled |= mine
    return np.flatnonzero(held).astype(np.int64)


def _target(target: str, train: Clips) -> int:
    mids = train.vocabulary.mids
    same = [mid for mid, name in zip(mids, train.classes, strict=True) if name == target]
    if len(same) > 1:
        raise BadInput(f"{len(same)} classes called {target!r}", "one", f"give its mid, one of {', '.join(same)}")
    return mids.index(target) if target in mids else class_number(target, train.classes)


def _labelled(clips: Clips, target: int, name: str, form: ClipForm) -> ClipSet:
    label = clips.tagged([clips.vocabulary.mids[target]]).astype(np.int64)
    return ClipSet(clips, np.arange(len(clips), dtype=np.int64), label, f"{name}-class{target}", form)


def _below(train: Clips, target: int) -> NDArray[np.bool_]:
    """Which clips have a class below the target in the ontology, (M,)."""
    ontology, mid = train.vocabulary.ontology, train.vocabulary.mids[target]
    if ontology is None:
        raise BadInput("exclude_descendants without an ontology", "ontology.json in data.root", "put it there")
    if mid not in ontology.children:
        raise BadInput(
            f"exclude_descendants of {mid}, which ontology.json doesn't have", "a class of it", "fetch it anew"
        )
    return train.tagged(ontology.descendants(mid))


def _form(train: Clips, rest: Index) -> ClipForm:
    """The form, with statistics as given or of the training clips without those for validation."""
    config = train.store.config
    given = config.given_stats()
    if given is not None:
        return ClipForm(config.frames, config.mels, *given)
    sums, count = np.zeros(2), 0
    for start in range(0, len(rest), _AT_ONCE):
        feats = train.store.features(train.number[rest[start : start + _AT_ONCE]])[:, : real_frames(config)]
        values = feats.astype(np.float64)
        sums, count = sums + (values.sum(), np.square(values).sum()), count + values.size
    mean = float(sums[0] / count)
    return ClipForm(config.frames, config.mels, mean, float(np.sqrt(sums[1] / count - mean**2)))


def _require_kinds(split: Split, name: str) -> None:
    for part, label, where in (
        (split.positives, 1, "to train with"), (split.pool, 0, "to choose from"), (split.val, 1, "to validate with"),
        (split.val, 0, "to validate with"), (split.test, 1, "to test with"), (split.test, 0, "to test with"),
    ):  # fmt: skip
        if not (part.label == label).any():
            kind = "positive" if label else "negative"
            raise BadData(f"no {kind} clip of {name!r} {where}", "one or more", "choose another --set data.target")
