"""A training run on one screen: every epoch, choose the negatives, train, validate, record."""

from negsift.common.errors import Interrupted
from negsift.trainer.folder import Json
from negsift.trainer.trainer import Trainer


def fit(trainer: Trainer) -> Json:
    """Train to the end (or go on from where the run was stopped) and return its summary.

    Raises Interrupted on Ctrl-C; what the epochs before it gave is saved by then.
    """
    try:
        for epoch in trainer.epochs():
            selection = trainer.choose(epoch)
            loss = trainer.train(epoch, selection)
            val = trainer.validate()
            trainer.record(epoch, selection, loss, val)
        return trainer.finish()
    except KeyboardInterrupt:
        raise Interrupted(trainer.saved) from None
