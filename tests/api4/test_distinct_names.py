"""No two rows get one name from 4.x, not even of requests that come at the same time."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from tests.support import Caller
from tests.world import World
from v6srv.db import session
from v6srv.model import Organization

AT_ONCE = 6
ROUNDS = 4


def at_once(app: Flask, method: str, paths: list[str], body: Any) -> list[int]:
    """The statuses of requests that are sent together, in order."""
    headers = {"Authorization": f"Bearer {Caller(app, '/v4/api').token('root')}"}
    begin = threading.Barrier(len(paths))

    def send(path: str) -> int:
        client = app.test_client()
        begin.wait()
        answer = client.open(f"/v4/api{path}", method=method, json=body, headers=headers)
        assert answer.status_code < 500, answer.json
        return answer.status_code

    with ThreadPoolExecutor(len(paths)) as pool:
        return sorted(pool.map(send, paths))


def bearers(name: str) -> int:
    try:
        query = select(func.count()).where(Organization.name == name)
        return session.scalar(query) or 0
    finally:
        session.remove()


@pytest.mark.parametrize("backend", ["postgresql", "sqlite"], indirect=True)
def test_of_requests_that_create_one_organization_one_does(app: Flask, world: World) -> None:
    for number in range(ROUNDS):
        name = f"hospital {number}"
        answers = at_once(app, "POST", ["/organization"] * AT_ONCE, {"name": name})
        assert answers == [201] + [400] * (AT_ONCE - 1)
        assert bearers(name) == 1


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_of_requests_that_give_one_name_one_does(app: Flask, world: World) -> None:
    paths = [f"/organization/{id}" for id in vars(world.org).values()]
    for number in range(ROUNDS):
        name = f"hospital {number}"
        answers = at_once(app, "PATCH", paths, {"name": name})
        assert answers == [200] + [400] * (len(paths) - 1)
        assert bearers(name) == 1


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_programs_of_3x_give_one_name_to_several_and_those_stay(
    call: Caller, call4: Caller, world: World
) -> None:
    for _ in range(2):
        assert call("root", "POST", "/organization", json={"name": "twin"}).status_code == 201
    twins = call4("root", "GET", "/organization", query={"name": "twin"}).json["data"]
    assert len(twins) == 2
    path = f"/organization/{twins[0]['id']}"
    assert call4("root", "PATCH", path, json={"name": "twin", "country": "x"}).status_code == 200
    body = {"name": "twin"}
    assert call4("root", "POST", "/organization", json=body).status_code == 400
