"""Writes a run's numbers as TensorBoard's event files, by tensorboardX, which comes with Ray Tune."""

import functools
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class TensorBoardLogger:
    """Event files in `folder`, for `tensorboard --logdir`; each start writes one, and TensorBoard shows the last."""

    folder: Path

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Write a scalar for each number, and flush."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        for name, value in values.items():
            self._file.write_event(Event(wall_time=time.time(), step=step, summary=scalar(name, value)))
        self._file.flush()

    def close(self) -> None:
        """Close the file, if one was opened."""
        if "_file" in self.__dict__:
            self._file.close()

    @functools.cached_property
    def _file(self) -> Any:  # Any: tensorboardX is untyped
        # Its SummaryWriter writes in a thread: on a full disk that ends, and later calls wait for it for ever.
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        self.folder.mkdir(parents=True, exist_ok=True)
        # A name that nobody can guess, so that no link can lie there.
        file = EventsWriter(str(self.folder / "events"), filename_suffix=f".{secrets.token_hex(8)}")
        # TensorBoard drops what earlier files have from this step on; a resumed run logs all its epochs again.
        file.write_event(Event(step=0, session_log=SessionLog(status=SessionLog.START)))
        return file
