"""Nearest to the hyperplane of a linear SVM ("SVM-Margin" in Table 1; Tong and Koller 2001, simple margin)."""

import numpy as np

from negsift.common.arrays import Floats
from negsift.common.types import Embedded, Need, Round
from negsift.service.strategies.base import Prepared, Strategy


class SvmMargin(Strategy):
    """The smallest |f| of an SVM between the positives and the negatives in use, on standardised features."""

    need = Need.FEATURES
    learns_from_positives = True
    learns_from_negatives = True
    imports = ("sklearn.preprocessing", "sklearn.svm")

    def prepare(self, positives: Embedded, negatives: Embedded) -> Prepared:
        """The hyperplane w·h + b in unscaled features: w (D,), b (1,)."""
        from sklearn.preprocessing import StandardScaler  # imported here: scorers don't need it, and start sooner
        from sklearn.svm import LinearSVC

        negatives = negatives.take(np.flatnonzero(negatives.finite))
        if not len(negatives.index):
            return {"normal": np.full(positives.features.shape[1], np.nan), "offset": np.zeros(1)}
        features = np.concatenate([positives.features, negatives.features]).astype(np.float64)
        label = np.repeat([1, 0], [len(positives.index), len(negatives.index)])
        scaler = StandardScaler().fit(features)
        # The primal solver draws nothing; without random_state it would still ask numpy's global generator for a seed.
        svm = LinearSVC(C=1.0, dual=False, class_weight="balanced", random_state=0).fit(
            scaler.transform(features), label
        )
        normal = svm.coef_[0] / scaler.scale_
        return {"normal": normal, "offset": svm.intercept_ - normal @ scaler.mean_}

    def score(self, embedded: Embedded, prepared: Prepared, round: Round) -> Floats:
        """-|w·h + b|; einsum, because BLAS may round by the number of its threads."""
        side = np.einsum("nd,d->n", embedded.features.astype(np.float64), prepared["normal"])
        return np.asarray(-np.abs(side + prepared["offset"]), dtype=np.float64)
