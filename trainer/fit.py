"""A training run on one screen: for every epoch choose the negatives, train, validate, record."""

from negsift.common.errors import Interrupted
from negsift.trainer.folder import Json
from negsift.trainer.trainer import Trainer


def fit(trainer: Trainer) -> Json:
    """Train to the end, or resume from where the run was stopped, and return the run's summary.

    Raises Interrupted on Ctrl-C; all completed epochs are saved by then.
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
    finally:
        trainer.close()
