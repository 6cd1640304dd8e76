"""Records that outlive the process that wrote them, for as long as the cluster is up: Ray's key-value store."""

from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_get, _internal_kv_list, _internal_kv_put

_NAMESPACE = b"negsift"


class KvStore:
    """The records of one service."""

    def __init__(self, identity: str) -> None:
        self._prefix = f"{identity}/"

    def put(self, name: str, record: bytes) -> None:
        """Keep a record under a name."""
        _internal_kv_put(self._key(name), record, overwrite=True, namespace=_NAMESPACE)

    def get(self, name: str) -> bytes | None:
        """The record, if there is one."""
        record: bytes | None = _internal_kv_get(self._key(name), namespace=_NAMESPACE)
        return record

    def remove(self, name: str) -> None:
        """Delete a record."""
        _internal_kv_del(self._key(name), namespace=_NAMESPACE)

    def names(self) -> list[str]:
        """The names of all records."""
        keys = _internal_kv_list(self._prefix, namespace=_NAMESPACE)
        return [key.decode().removeprefix(self._prefix) for key in keys]

    def clear(self) -> None:
        """Delete all records."""
        _internal_kv_del(self._prefix, del_by_prefix=True, namespace=_NAMESPACE)

    def _key(self, name: str) -> bytes:
        return f"{self._prefix}{name}".encode()
