"""A Ray of this program's own that doesn't start."""

import os

import pytest
import ray

from negsift.common.errors import ServiceError
from negsift.service.cluster.connect import connect


def failing(reason: str) -> object:
    def init(*given: object, **more: object) -> None:
        raise Exception(reason)  # as Ray does

    return init


def test_a_ray_that_is_not_up_in_time_is_one_line_and_the_environment_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "init", failing("The current node timed out during startup."))
    before = dict(os.environ)
    with pytest.raises(ServiceError, match="not up in time; wait until the machine is less busy"):
        connect()
    assert dict(os.environ) == before


def test_another_exception_of_ray_is_raised_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "init", failing("a bug"))
    with pytest.raises(Exception, match="^a bug$"):
        connect()
