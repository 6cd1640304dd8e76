"""Records that outlive the process that wrote them, for as long as the cluster is up: Ray's own key-value store."""

from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_get, _internal_kv_list, _internal_kv_put

_SPACE = b"negsift"


class KvStore:
    """The records of one service."""

    def __init__(self, identity: str) -> None:
        self._prefix = f"{identity}/"

    def put(self, name: str, record: bytes) -> None:
        """Keep a record under a name."""
        _internal_kv_put(self._key(name), record, overwrite=True, namespace=_SPACE)

    def get(self, name: str) -> bytes | None:
        """The record, if there is one."""
        record: bytes | None = _internal_kv_get(self._key(name), namespace=_SPACE)
        return record

    def remove(self, name: str) -> None:
        """Forget it."""
        _internal_kv_del(self._key(name), namespace=_SPACE)

    def names(self) -> list[str]:
        """All names."""
        found = _internal_kv_list(self._prefix, namespace=_SPACE)
        return [key.decode().removeprefix(self._prefix) for key in found]

    def clear(self) -> None:
        """Forget everything."""
        _internal_kv_del(self._prefix, del_by_prefix=True, namespace=_SPACE)

    def _key(self, name: str) -> bytes:
        return f"{self._prefix}{name}".encode()
