"""What a run's best weights say of instances of its test bags: where they lie, how well they match their labels."""

import numpy as np
import pyarrow as pa

from negsift.common.arrays import Floats, Index
from negsift.common.data.protocols import LabelledBags
from negsift.common.data.table.table_set import TableSet
from negsift.common.models.bag import BagClassifier
from negsift.trainer.folder import Json, RunFolder
from negsift.trainer.learner import Learner
from negsift.trainer.metrics import bag_metrics
from negsift.trainer.worker_group import WorkerGroup

PLACES = "places.parquet"
"""The file of a run's folder that has the table of `likely_places`."""
SHOWN = 6


def record_instances(
    learner: Learner, bags: LabelledBags, score: Floats, folder: RunFolder, group: WorkerGroup
) -> Json:
    """Write `likely_places` into the run's folder, and give `instance_metrics` for its summary, as `instances`. Nothing
    but for features of a table whose instances have coords or labels, and for a BagClassifier.
    """
    if not (isinstance(bags, TableSet) and isinstance(learner.model, BagClassifier)):
        return {}
    if bags.tables[0].manifest.payload.column != "features":
        return {}
    places = group.on_rank0(lambda: likely_places(learner, bags, score))
    if places is not None:
        folder.write_table(PLACES, places)
    metrics = group.on_rank0(lambda: instance_metrics(learner, bags))
    return {} if metrics is None else {"instances": metrics}


def likely_places(learner: Learner, bags: TableSet, score: Floats) -> pa.Table | None:
    """The SHOWN positive bags with the largest `score` (n,) among those whose instances have coords, best first:
    bag_id, score, and a list each for the instances' x, y and score. None where there is none.
    """
    positive = np.flatnonzero(bags.label == 1)
    ranked = positive[np.argsort(-score[positive], kind="stable")]
    known = [(int(at), places) for at, places in zip(ranked, bags.coords(ranked), strict=True) if places is not None]
    shown = known[:SHOWN]
    if not shown:
        return None
    index = np.array([at for at, _ in shown], dtype=np.int64)
    return pa.table({
        "bag_id": bags.bag_id(index), "score": score[index],
        "x": [places[:, 0].tolist() for _, places in shown], "y": [places[:, 1].tolist() for _, places in shown],
        "instance_score": [scores.tolist() for scores in learner.score_instances(bags, index)],
    })  # fmt: skip


def instance_metrics(learner: Learner, bags: TableSet) -> Json | None:
    """AP and ROC-AUC of the instances of all bags that have labels of these, 1 and others, with the numbers of bags and
    instances. None where no bag has.
    """
    every: Index = np.arange(len(bags), dtype=np.int64)
    known = [(at, labels) for at, labels in zip(every, bags.instance_labels(every), strict=True) if labels is not None]
    if not known:
        return None
    label = np.concatenate([labels for _, labels in known]) == 1
    score = np.concatenate(learner.score_instances(bags, np.array([at for at, _ in known], dtype=np.int64)))
    return {"bags": len(known), "count": len(label), **bag_metrics(score, label.astype(np.int64))}
