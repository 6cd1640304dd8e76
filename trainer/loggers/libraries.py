"""Which libraries the loggers need."""

import importlib.util

from negsift.common.errors import BadInput
from negsift.trainer.config import LogConfig

_OTHER_NAMES = {"tensorboard": "tensorboardX"}


def require_libraries(config: LogConfig) -> None:
    """Raise BadInput for a logger whose library isn't installed, naming the extra that installs it."""
    for name in config.names:
        library = _OTHER_NAMES.get(name, name)
        if importlib.util.find_spec(library) is None:
            raise BadInput(f"log.to={name} without {library}", "it installed", f"pip install 'negsift[{name}]'")
