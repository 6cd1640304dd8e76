"""Every metric that negsift exports, with its labels; Ray puts `ray_` before the names.

Names end as Prometheus wants them, totals in `_total`. Labels have few values: none has an epoch or a version in it.
"""

from dataclasses import dataclass

TASK, SHARD, RUN = ("service", "task", "strategy"), ("service", "shard"), ("run", "recipe", "strategy")


@dataclass(frozen=True)
class Metric:
    """What the metric is, in a line, and the names of its labels."""

    about: str
    labels: tuple[str, ...]


METRICS: dict[str, Metric] = {
    "negsift_rounds_total": Metric("rounds finished", TASK),
    "negsift_rounds_failed_total": Metric("rounds that ended with an error", (*TASK, "kind")),
    "negsift_bags_scored_total": Metric("bags of the pool scored", TASK),
    "negsift_bags_dropped_total": Metric("bags left out, their scores not finite", TASK),
    "negsift_stage_seconds_total": Metric("seconds spent, by stage of a round", (*TASK, "stage")),
    "negsift_retries_total": Metric("calls repeated because a scorer was gone", TASK),
    "negsift_repaired_shards_total": Metric("recoveries, by kind", (*TASK, "kind")),
    "negsift_last_round_timestamp_seconds": Metric("when the last round ended, or the task began", TASK),
    "negsift_epoch": Metric("epoch that the last round chose for", TASK),
    "negsift_weights_version": Metric("version of the weights that scored last", TASK),
    "negsift_staleness_epochs": Metric("epochs between those weights and the epoch chosen for", TASK),
    "negsift_staleness_limit_epochs": Metric("the most of them that the task allows, where it has a limit", TASK),
    "negsift_wait_seconds": Metric("seconds the last round waited for other tasks", TASK),
    "negsift_publish_lag_seconds": Metric("seconds until the last weights were checked and with the service", TASK),
    "negsift_selection_overlap_ratio": Metric("share of the last picks that were picked the time before", TASK),
    "negsift_pool_coverage_ratio": Metric("share of the pool picked so far", TASK),
    "negsift_pool_version": Metric("version of the pool scored last", TASK),
    "negsift_tasks_lost_total": Metric("tasks whose programs ended without closing their samplers", ("service",)),
    "negsift_shard_up": Metric("1, or 0 while a scorer's process is gone", SHARD),
    "negsift_shard_bags_embedded_total": Metric("bags that a scorer put through the model", SHARD),
    "negsift_shard_busy_seconds_total": Metric("seconds that a scorer worked on requests", SHARD),
    "negsift_shard_memory_bytes": Metric("resident memory of a scorer", SHARD),
    "negsift_shard_kept_bytes": Metric("embeddings that a scorer keeps", SHARD),
    "negsift_shard_gpu_memory_bytes": Metric("GPU memory that torch holds in a scorer, where it has a GPU", SHARD),
    "negsift_run_epochs_total": Metric("epochs trained", RUN),
    "negsift_run_stage_seconds_total": Metric("seconds of training, by stage of an epoch", (*RUN, "stage")),
    "negsift_run_last_epoch_timestamp_seconds": Metric("when the last epoch ended, or the run began or resumed", RUN),
    "negsift_run_loss": Metric("mean loss of the last epoch", RUN),
    "negsift_run_val_ap_ratio": Metric("AP on the validation bags", RUN),
    "negsift_run_val_roc_auc_ratio": Metric("ROC-AUC on the validation bags", RUN),
    "negsift_run_select_ratio": Metric("share of the last epoch that training waited for its negatives", RUN),
    "negsift_run_gpu_memory_bytes": Metric("GPU memory that torch holds in the trainer, where it has a GPU", RUN),
}
