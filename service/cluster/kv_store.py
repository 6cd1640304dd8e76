"""Records that outlive the process that wrote them, for as long as the cluster is up: Ray's key-value store."""

from collections.abc import Iterator, MutableMapping
from typing import Self

from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_get, _internal_kv_list, _internal_kv_put

_NAMESPACE = b"negsift"


class KvStore(MutableMapping[str, bytes]):
    """The records of one service by name."""

    def __init__(self, identity: str) -> None:
        self._prefix = f"{identity}/"

    @classmethod
    def for_recovery(cls, identity: str) -> Self:
        """What that service's coordinator notes for itself if it is restarted, apart from its tasks."""
        return cls(f"{identity}.recovery")

    def __setitem__(self, name: str, record: bytes) -> None:
        _internal_kv_put(f"{self._prefix}{name}".encode(), record, overwrite=True, namespace=_NAMESPACE)

    def __getitem__(self, name: str) -> bytes:
        record: bytes | None = _internal_kv_get(f"{self._prefix}{name}".encode(), namespace=_NAMESPACE)
        if record is None:
            raise KeyError(name)
        return record

    def __delitem__(self, name: str) -> None:
        _internal_kv_del(f"{self._prefix}{name}".encode(), namespace=_NAMESPACE)

    def __iter__(self) -> Iterator[str]:
        keys = _internal_kv_list(self._prefix, namespace=_NAMESPACE)
        return iter([key.decode().removeprefix(self._prefix) for key in keys])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def clear(self) -> None:
        """Delete all records at once."""
        _internal_kv_del(self._prefix, del_by_prefix=True, namespace=_NAMESPACE)
