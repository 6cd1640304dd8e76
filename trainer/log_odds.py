"""Offsets of log-odds for negatives that were drawn by chance: the alternative to weighing them by the inverse of it.

Of bags alike, negatives are seen with probability π and positives always, so that their odds are 1 / π times what they
are in the data. A model whose margin is raised by -ln π in training has the log-odds of the data itself (local
case-control sampling, Fithian and Hastie, Annals of Statistics 2014; Wang et al., arXiv 2110.13048). π has to be known
of positives too, had they been negatives: by their own scores, which cost a forward pass of an epoch's positives.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from negsift.common.arrays import Floats
from negsift.common.data.protocols import LabelledBags
from negsift.common.types import Draw, Selection
from negsift.trainer.epoch_positives import ChosenPositives

Offset = Callable[[Floats, Draw], Floats]
"""-ln π of bags with these margins (n,) under a draw, as `HtGumbel.offset`."""


def with_offsets(
    positives: ChosenPositives, selection: Selection, offset: Offset | None, score: Callable[[LabelledBags], Floats]
) -> tuple[ChosenPositives, Floats | None]:
    """The positives, with the cost of scoring them, and the offset of each bag of the epoch, positives first, (|S|,).

    No offsets without `offset`, and for negatives that were not drawn in proportion to masses. `score` gives margins
    (n,) by the weights that the negatives were drawn with.
    """
    if offset is None or selection.draw is None:
        return positives, None
    ours = offset(score(positives.bags), selection.draw)
    theirs = np.log(selection.weight * selection.draw.mean_inverse)
    scored = positives.scored + len(positives.bags)
    return replace(positives, scored=scored), np.concatenate([ours, theirs])
