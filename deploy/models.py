"""The untrained model that a configuration names, for bags of images, of vectors or of clips."""

from torch import nn

from negsift.common.data.audioset.clips import ClipSet
from negsift.common.data.bagset import BagSet
from negsift.common.data.protocols import LabelledBags
from negsift.common.data.table.table_set import TableSet
from negsift.common.models.config import ModelConfig
from negsift.common.models.encoders import make_model, make_vector_model
from negsift.common.models.psla import make_clip_model


def model_for(bags: LabelledBags, config: ModelConfig, seed: int) -> nn.Module:
    """A model whose input is what `bags` hold; raises BadInput or UnknownName where `config` names none for them."""
    if isinstance(bags, TableSet):
        payload = bags.tables[0].manifest.payload
        if payload.column == "features":
            return make_vector_model(config, payload.shape[0], seed)
        if bags.form is None:
            return make_model(config, (payload.shape[0], payload.shape[1], payload.shape[2]), seed)
    if isinstance(bags, BagSet):
        return make_model(config, bags.instances.images.shape[1:], seed)
    assert isinstance(bags, TableSet | ClipSet)  # there is no other kind
    assert bags.form is not None
    return make_clip_model(config, bags.form, seed)
