"""Ray's token authentication. Ray's ports listen on all interfaces, so the token is what keeps others out.

A Ray that negsift starts has a token, unless the user has set RAY_AUTH_MODE=disabled. To join a cluster, negsift finds
out whether it demands one; Ray itself would have to be told, and would try for half a minute.
"""

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import grpc
from ray._private.grpc_utils import init_grpc_channel
from ray._raylet import AuthenticationMode, AuthenticationTokenLoader, Config, get_authentication_mode  # type: ignore[attr-defined]  # its stub lacks them
from ray.exceptions import AuthenticationError

from negsift.common.environment import unchanged_environment
from negsift.common.errors import BadInput, UnknownName
from negsift.service.cluster.address import no_cluster

_ANSWER_S = 5.0
_QUESTIONS = {True: "/ray.rpc.RayletDriver/ClusterInfo", False: "/ray.rpc.NodeInfoGcsService/GetClusterId"}
"""What the servers of Ray Client, and of the cluster itself, answer to whoever has the token."""
_NO_RAY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNIMPLEMENTED}
_WHERE = "put it into RAY_AUTH_TOKEN, ~/.ray/auth_token, or a file that RAY_AUTH_TOKEN_PATH names"


def lock() -> None:
    """Make Ray demand a token of whoever joins, and create one where there is none, unless the user forbids it."""
    mode = _chosen_mode() or "token"
    _set_mode(mode)
    if mode == "token" and not _has_token():
        _create_token(Path.home() / ".ray" / "auth_token")


def unlock(address: str) -> None:
    """Make Ray send the token to the cluster there, if it demands one; raises BadInput where it would be refused."""
    chosen, cluster = _chosen_mode(), f"the Ray cluster at RAY_ADDRESS={address}"
    _set_mode("disabled")
    if _is_let_in(address):
        if chosen == "token":
            found = f"RAY_AUTH_MODE=token for {cluster}, which demands no token"
            raise BadInput(found, "a cluster that does", "unset RAY_AUTH_MODE")
        return
    send_token(cluster, chosen or "token")  # the mode of this process is "disabled" by now
    if not _is_let_in(address):
        raise BadInput(f"a token that {cluster} refuses", "the one it was started with", _WHERE)


@contextmanager
def kept_authentication() -> Iterator[None]:
    """Afterwards this process sends a token, or none, as before: it may have joined another cluster."""
    demands = get_authentication_mode() == AuthenticationMode.TOKEN
    try:
        with unchanged_environment():
            yield
    finally:
        with unchanged_environment():
            _set_mode("token" if demands else "disabled")


def send_token(cluster: str, chosen: str | None = None) -> None:
    """Make Ray send the token to a cluster that demands one. Raises BadInput without one, and where the user has
    `chosen` to have none.
    """
    if (chosen or _chosen_mode()) == "disabled":
        raise BadInput(f"RAY_AUTH_MODE=disabled for {cluster}", "its token", f"unset RAY_AUTH_MODE, and {_WHERE}")
    _set_mode("token")
    if not _has_token():
        raise BadInput(f"no token for {cluster}", "the one it was started with", _WHERE)


def _chosen_mode() -> str | None:
    """What the user has chosen; Ray takes any other word for `disabled`."""
    mode = os.environ.get("RAY_AUTH_MODE", "").lower()
    if mode not in ("", "token", "disabled"):
        raise UnknownName("RAY_AUTH_MODE", mode[:40], ("token", "disabled"))
    return mode or None


def _set_mode(mode: str) -> None:
    """The mode for this process, where Ray has read the environment long ago, and for those that it starts."""
    os.environ["RAY_AUTH_MODE"] = mode
    Config.initialize("")
    AuthenticationTokenLoader.instance().reset_cache()


def _has_token() -> bool:
    """Whether Ray finds a token; raises BadInput for one that can't be sent, with which Ray would crash."""
    try:
        token = AuthenticationTokenLoader.instance().get_raw_token(ignore_auth_mode=True)
    except AuthenticationError:
        path = os.environ.get("RAY_AUTH_TOKEN_PATH")
        raise BadInput(f"no token in RAY_AUTH_TOKEN_PATH={path}", "a file that holds one", "correct it") from None
    except UnicodeDecodeError:
        token = "\0"
    if not (token.isascii() and token.isprintable()):
        raise BadInput("a token with characters that can't be sent", "printable ASCII on one line", _WHERE)
    return bool(token)


def _create_token(path: Path) -> None:
    """A new token that only its owner can read, which Ray would leave to the umask; the first of two writers wins."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent) as unfinished:
            unfinished.write(secrets.token_hex(32))
            unfinished.flush()
            with suppress(FileExistsError):
                os.link(unfinished.name, path)
    except OSError as error:
        found = f"{path}, where Ray's token belongs, not writable ({error.strerror})"
        raise BadInput(found, "a token", "set RAY_AUTH_TOKEN to a secret of your own") from error


def _is_let_in(address: str) -> bool:
    """Whether the cluster answers, without a token or with it, as the mode is; raises BadInput if none is there."""
    client, _, place = address.rpartition("://")
    with init_grpc_channel(place, [("grpc.enable_http_proxy", 0)]) as channel:
        try:
            channel.unary_unary(_QUESTIONS[bool(client)])(b"", timeout=_ANSWER_S)
        except grpc.RpcError as error:
            if error.code() in _NO_RAY:
                raise no_cluster(address, "what listens there is no Ray") from None
            return bool(error.code() != grpc.StatusCode.UNAUTHENTICATED)
    return True
