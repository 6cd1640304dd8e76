"""The job server of a Ray cluster, reached over HTTP, with the token that it may demand."""

import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from negsift.common.errors import BadInput
from negsift.service.cluster.dashboard_url import dashboard_of
from negsift.service.cluster.token import kept_authentication, send_token

PORT = 8265
"""Where Ray's dashboard, which takes the jobs, listens by default."""
VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
_HERE = (None, "", "auto", "local")
_ANSWER_S = 5.0
_TALKATIVE = ("dashboard.modules.dashboard_sdk", "dashboard.modules.job.sdk", "_private.runtime_env.packaging")
"""Modules of Ray that tell of each package and connection."""


@contextmanager
def job_server(address: str | None) -> Iterator[JobSubmissionClient]:
    """A client of the job server at `address`, else at that of Ray's variables, else of this machine. An address is the
    dashboard's, or HOST:PORT of the cluster itself, which knows its dashboard.

    Raises BadInput for what is no address, where nobody listens or no Ray does, and for a token missing or wrong.
    """
    for name in _TALKATIVE:
        logging.getLogger(f"ray.{name}").setLevel(logging.WARNING)
    named = address or next((text for text in map(os.environ.get, VARIABLES) if text not in _HERE), None)
    with kept_authentication():
        for variable in VARIABLES:
            os.environ.pop(variable, None)
        yield _client(_dashboard(named or f"http://127.0.0.1:{PORT}"))


def _dashboard(address: str) -> str:
    """The URL of the dashboard at an address, or of the cluster there: that of Ray itself, HOST:6379, names it."""
    url = _url(address)
    if "://" in address or _speaks_http(url):
        return url
    return _url(dashboard_of(address))


def _client(url: str) -> JobSubmissionClient:
    if _status(url) in (401, 403):
        send_token(f"the job server at {url}")
    try:
        return JobSubmissionClient(url)
    except AuthenticationError:
        raise BadInput(f"a token that the job server at {url} refuses", "its own", "correct RAY_AUTH_TOKEN") from None
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _nobody(url, str(error).splitlines()[0]) from None


def _url(address: str) -> str:
    """The address as a URL; raises BadInput for what is none, and where nobody listens."""
    url = address if "://" in address else f"http://{address}"
    try:
        parts = urlsplit(url.rstrip("/"))
        host, port = parts.hostname, parts.port or PORT
    except ValueError:
        host, port, parts = None, 0, urlsplit("")
    if parts.scheme not in ("http", "https") or not host or not re.fullmatch(r"[\w.:-]+", host):
        expected = f"http://HOST:{PORT}, the address of the cluster's dashboard"
        raise BadInput(f"address {address!r:.80}", expected, "give it by --address")
    try:
        socket.create_connection((host, port), _ANSWER_S).close()
    except (OSError, UnicodeError) as error:
        raise _nobody(url, getattr(error, "strerror", None) or str(error)) from None
    return f"{parts.scheme}://{parts.netloc if parts.port else f'{parts.netloc}:{port}'}"


def _speaks_http(url: str) -> bool:
    try:
        requests.get(f"{url}/api/version", timeout=_ANSWER_S)
    except requests.RequestException:
        return False
    return True


def _status(url: str) -> int:
    """What the server answers to whoever has no token."""
    try:
        return requests.get(f"{url}/api/version", timeout=_ANSWER_S).status_code
    except requests.RequestException as error:
        raise _nobody(url, type(error).__name__) from None


def _nobody(url: str, reason: str) -> BadInput:
    expected = "the dashboard's address of a running Ray cluster"
    return BadInput(f"no job server at {url} ({reason})", expected, "correct --address, or start the cluster's head")
