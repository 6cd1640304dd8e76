"""Average precision and area under the ROC curve over bags, computed by scikit-learn."""

import math

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from negsift.common.arrays import Floats, Index

Metrics = dict[str, float]


def bag_metrics(score: Floats, label: Index) -> Metrics:
    """`ap` and `roc_auc` of scores (n,) for labels (n,) of 0 and 1; NaN where a metric is undefined.

    AP is the sum over thresholds of (R_i - R_{i-1}) P_i, where tied scores share a threshold; the area under the ROC
    curve counts a tied pair as half.
    """
    kinds = np.unique(label)
    return {
        "ap": float(average_precision_score(label, score)) if 1 in kinds else math.nan,
        "roc_auc": float(roc_auc_score(label, score)) if len(kinds) == 2 else math.nan,
    }
