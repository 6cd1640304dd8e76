"""The model in the form that a shard runs: its memory format, and compiled or not."""

import torch

from negsift.common.models.adapt import AdaptedModule
from negsift.common.models.compiling import compile_backbone
from negsift.common.models.embedder import Embedder
from negsift.service.scoring.scoring_config import ScoringConfig


def prepare_model(model: Embedder, config: ScoringConfig) -> Embedder:
    """The same model, laid out and compiled as `config` asks; raises BadInput where no compiler is found."""
    if config.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    if config.compile:
        backbone = model.module if isinstance(model, AdaptedModule) else model.encoder
        compile_backbone(backbone, "fleet.scoring.compile")
    return model
