"""The 1,797 handwritten digits of scikit-learn (UCI, Alpaydin and Kaynak): the default, which needs no download."""

import numpy as np

from negsift.common.data.config import DataConfig
from negsift.common.data.instances import Instances
from negsift.common.errors import BadInput

_LEVELS = 16
CLASSES = tuple("0123456789")


def load(config: DataConfig) -> tuple[Instances, Instances]:
    """1,198 training and 599 test digits, (M, 1, 8·f, 8·f) uint8, each pixel repeated f = image_size / 8 times. Raises
    BadInput for an image size that is not a multiple of 8.
    """
    factor, rest = divmod(config.image_size, 8)
    if rest:
        raise BadInput(f"data.image_size={config.image_size} with digits", "a multiple of 8", "correct it")
    from sklearn.datasets import load_digits  # slow to import, and other datasets have no use for it
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    pixels = np.rint(digits.images * 255 / _LEVELS).astype(np.uint8)
    images = pixels.repeat(factor, axis=1).repeat(factor, axis=2)[:, None]
    labels = digits.target.astype(np.int64)
    # A fixed split: the test set must not depend on the seed of bags or of the run.
    train, test = train_test_split(np.arange(len(labels)), test_size=1 / 3, random_state=0, stratify=labels)
    table = Instances(labels, CLASSES, in_memory=images)
    return table.subset(train), table.subset(test)
