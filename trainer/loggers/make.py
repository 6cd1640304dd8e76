"""Makes the loggers that a configuration names."""

from negsift.trainer.config import LogConfig
from negsift.trainer.folder import Json, RunFolder
from negsift.trainer.loggers.identity import RunIdentity, identify
from negsift.trainer.loggers.logger import Logger
from negsift.trainer.loggers.mlflow import MlflowLogger
from negsift.trainer.loggers.tensorboard import TensorBoardLogger
from negsift.trainer.loggers.wandb import WandbLogger


def make_loggers(config: LogConfig, folder: RunFolder, run_config: Json) -> tuple[Logger, ...]:
    """The loggers of the run in a folder, which get its configuration; what they are known by is written there."""
    if not config.names:
        return ()
    run = identify(folder, config.project, run_config)
    return tuple(_make(name, run) for name in config.names)


def _make(name: str, run: RunIdentity) -> Logger:
    if name == "tensorboard":
        return TensorBoardLogger(run.folder / name)
    return MlflowLogger(run) if name == "mlflow" else WandbLogger(name, run)
