"""The values that cross between rooms: frozen, and checked once, at birth. Axes: n bags, K classes, D features, R
gradient factors.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from negsift.common.account import Account, Traffic
from negsift.common.arrays import Array, Floats, Index
from negsift.common.block_subset import BlockSubset
from negsift.common.instance_features import InstanceFeatures


class Need(enum.IntEnum):
    """How much of a bag a strategy looks at; each level includes those below."""

    NOTHING = 0
    LOGITS = 1
    FEATURES = 2
    GRADIENT = 3


@dataclass(frozen=True)
class EmbeddingSpec:
    """What to compute of every bag. `label` is the class the gradient is taken for: `pseudo`, the predicted one (eq. 4
    of Shah et al.), or `known`, the negative class that every bag of a negative pool has. `target` is the positive
    class's column.
    """

    need: Need
    label: str = "pseudo"
    target: int = 1


@dataclass(frozen=True)
class Gradient:
    """Last-layer gradients in factors: bag b's gradient is `left[b] ⊗ right[b]`, (n, R) and (n, G). Inner products are
    (left·left')(right·right'); the product matrix is never built. Its arrays are read-only.
    """

    left: Floats
    right: Array

    def __post_init__(self) -> None:
        _require(self.left.ndim == 2 and self.right.ndim == 2, "gradient factors with two axes", self)
        _require(len(self.left) == len(self.right), "as many left as right factors", self)
        _read_only(self, "left", "right")

    @property
    def norm(self) -> Floats:
        """L2 norm of every bag's gradient, (n,)."""
        right = self.right.astype(np.float64)
        squares = np.einsum("nr,nr->n", self.left, self.left) * np.einsum("ng,ng->n", right, right)
        return np.asarray(np.sqrt(squares), dtype=np.float64)

    def take(self, rows: Index | slice) -> "Gradient":
        """The gradients of some rows."""
        return Gradient(self.left[rows], self.right[rows])


@dataclass(frozen=True)
class Embedded:
    """What one forward pass says of bags: `index` (n,), `logits` (n, K), `features` (n, D). Levels that a strategy
    doesn't need are left empty: (n, 0), and None for the gradient. The arrays are read-only: keep no changes in them.
    """

    index: Index
    logits: Array
    features: Array
    gradient: Gradient | None = None

    def __post_init__(self) -> None:
        _require(self.index.dtype == np.int64 and self.index.ndim == 1, "an int64 index (n,)", self)
        _require(self.logits.ndim == 2 and self.features.ndim == 2, "logits (n, K), features (n, D)", self)
        rows = {len(self.index), len(self.logits), len(self.features)}
        _require(len(rows) == 1, "one row a bag in every array", self)
        _read_only(self, "index", "logits", "features")

    @classmethod
    def merge(cls, parts: Sequence[Self]) -> Self:
        """All parts as one, sorted by index, so that the order of arrival makes no difference."""
        index = np.concatenate([part.index for part in parts])
        order = np.argsort(index, kind="stable")
        logits = np.concatenate([part.logits for part in parts])[order]
        features = np.concatenate([part.features for part in parts])[order]
        return cls(index[order], logits, features, _merge_gradients(parts, order))

    def take(self, rows: Index | slice) -> "Embedded":
        """Some rows, by their position in this object (not in the pool)."""
        gradient = None if self.gradient is None else self.gradient.take(rows)
        return Embedded(self.index[rows], self.logits[rows], self.features[rows], gradient)

    @property
    def finite(self) -> NDArray[np.bool_]:
        """Whether a bag's logits and features are all finite, (n,)."""
        return np.asarray(np.isfinite(self.logits).all(1) & np.isfinite(self.features).all(1), dtype=np.bool_)

    @property
    def size_bytes(self) -> int:
        """Memory held by the arrays."""
        extra = 0 if self.gradient is None else self.gradient.left.nbytes + self.gradient.right.nbytes
        return self.index.nbytes + self.logits.nbytes + self.features.nbytes + extra


@dataclass(frozen=True)
class Candidates:
    """Scored bags: `index` (n,) int64, `score` (n,) float64; a larger score is wanted more. `seen` counts the bags
    considered, `dropped` those left out since their score was not finite, `guarded` those that look too positive.
    """

    index: Index
    score: Floats
    seen: int
    dropped: int = 0
    guarded: int = 0

    def __post_init__(self) -> None:
        _require(self.index.dtype == np.int64, "an int64 index", self)
        _require(self.score.dtype == np.float64, "a float64 score", self)
        _require(self.index.shape == self.score.shape and self.index.ndim == 1, "(n,) twice", self)


@dataclass(frozen=True)
class PoolVersion:
    """A pool at one time: the bag table's `version`, 0 for a pool that is no table, and the number of `bags`."""

    version: int
    bags: int


@dataclass(frozen=True)
class Round:
    """One request for negatives: `k` bags of `pool` for `epoch`; random numbers follow from `seed` and `epoch`.

    `target` is the positive class's logit column. `previous` (k,) is the last selection, for strategies that
    learn from the negatives in use. Only bags of `subset` are scored, if there is one. With `all_scores` the
    answer holds every bag scored, not the best k; with `ranks` it holds so many of the best, for guards that choose
    among them. Bags whose log-odds of the positive class exceed `limit` are left out. `turn` is the number of rounds
    before this one.
    """

    epoch: int
    seed: int
    k: int
    pool: PoolVersion
    target: int = 1
    previous: Index | None = None
    subset: BlockSubset | None = None
    all_scores: bool = False
    turn: int = 0
    ranks: int = 0
    limit: float | None = None

    @property
    def most(self) -> int:
        """The number of candidates that the answer holds at most."""
        return self.pool.bags if self.all_scores else max(self.k, self.ranks)


@dataclass(frozen=True)
class Snapshot:
    """Weights of one version. `digest` identifies their content: equal digests give equal scores. `features` are those
    of the pool's instances under these weights, where bags share instances. `pool_version` is the version of the pool
    that they are for.
    """

    version: int
    digest: str
    weights: Mapping[str, NDArray[np.generic]]
    features: InstanceFeatures | None = None
    pool_version: int = 0


@dataclass(frozen=True)
class Draw:
    """A draw by chance: a bag of mass q is in it with probability π = 1 - exp(-q · `threshold`). The weight in the loss
    of one that is in it is 1 / π over `mean_inverse`, the mean of 1 / π over the draw.
    """

    threshold: float
    mean_inverse: float


@dataclass(frozen=True)
class Picked:
    """What a strategy chose, best first, each one's `weight` (n,) in the loss (None: 1), and the cost. `filled` were
    drawn once every point left coincided with a pick. `left_out` bounds the mean probability of bags not considered.
    `draw` says how likely each was, where it was drawn in proportion to masses.
    """

    candidates: Candidates
    filled: int = 0
    traffic: Traffic = field(default_factory=Traffic)
    left_out: float = 0.0
    weight: Floats | None = None
    draw: Draw | None = None


@dataclass(frozen=True)
class Selection:
    """The chosen negatives, best first: `index` (k,), `score` (k,), `weight` (k,) for the loss. `version` is that of
    the weights that scored; `staleness` counts epochs between them and the epoch the selection is for. `draw` is the
    strategy's, where it drew in proportion to masses.
    """

    index: Index
    score: Floats
    weight: Floats
    version: int
    staleness: int = 0
    account: Account = field(default_factory=Account)
    draw: Draw | None = None

    def __post_init__(self) -> None:
        _require(self.index.dtype == np.int64, "an int64 index", self)
        _require(self.index.shape == self.score.shape == self.weight.shape, "(k,) three times", self)
        _require(len(np.unique(self.index)) == len(self.index), "distinct positions", self)


def _merge_gradients(parts: Sequence[Embedded], order: Index) -> Gradient | None:
    gradients = [part.gradient for part in parts if part.gradient is not None]
    if not gradients:
        return None
    left = np.concatenate([gradient.left for gradient in gradients])[order]
    right = np.concatenate([gradient.right for gradient in gradients])[order]
    return Gradient(left, right)


def _read_only(value: object, *names: str) -> None:
    """Let nobody write to these arrays through `value`: shards keep embeddings and give them to all who ask."""
    for name in names:
        view = getattr(value, name).view()
        view.flags.writeable = False
        object.__setattr__(value, name, view)


def _require(holds: bool, expected: str, value: object) -> None:
    """An invariant of our own code, not of the user's input; hence no BadInput."""
    if not holds:
        raise TypeError(f"{type(value).__name__} needs {expected}")
