"""Nobody is let in with a token that says something strange, whoever signed it (issue 13)."""

from collections.abc import Callable
from typing import Any

import jwt
import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import strange_tokens
from tests.api.test_token import LOGIN
from tests.support import Caller
from tests.world import World
from v6srv.identity import principals, tokens

pytestmark = pytest.mark.usefixtures("world")

Ask = Callable[[str], tuple[int, Any]]

CONTRACT = {401, 422}
"""What programs know of a token that is refused (auth.md 2.4)."""


@pytest.fixture
def key(app: Flask) -> str:
    return str(app.config["JWT_SECRET_KEY"])


@pytest.fixture(params=["access", "refresh", "container"])
def way(request: pytest.FixtureRequest, call: Caller, world: World) -> tuple[dict[str, Any], Ask]:
    """The claims of a good token, and what asks with one: its status and its text."""
    if request.param == "container":
        token, method, path = call.token("container"), "GET", f"/task/{world.task.running}"
    else:
        pair = call(None, "POST", "/token/user", json=LOGIN).json
        token = pair[f"{request.param}_token"]
        refreshing = request.param == "refresh"
        method, path = (
            ("POST", "/token/refresh") if refreshing else ("GET", f"/user/{world.user.viewer}")
        )

    def ask(text: str) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {text}"}
        answer = call(None, method, path, headers=headers)
        return answer.status_code, answer.json.get("msg")

    return jwt.decode(token, options={"verify_signature": False}), ask


def test_every_strange_claim_is_unauthenticated(way: tuple[dict[str, Any], Ask], key: str) -> None:
    claims, ask = way
    assert ask(strange_tokens.signed(claims, key))[0] == 200
    strange = {}
    for what, changed in strange_tokens.with_strange_claims(claims):
        status, text = ask(strange_tokens.signed(changed, key))
        if status != 401 or not isinstance(text, str):
            strange[what] = status, text
    assert strange == {}


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_what_is_no_token_of_ours_is_refused_as_the_contract_says(
    way: tuple[dict[str, Any], Ask], key: str
) -> None:
    claims, ask = way
    let_in = {}
    for what, text in strange_tokens.forged(claims, key):
        status, told = ask(text)
        if status not in CONTRACT or not isinstance(told, str):
            let_in[what] = status, told
    assert let_in == {}


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_no_claims_break_the_server_or_let_somebody_else_in(
    way: tuple[dict[str, Any], Ask], key: str
) -> None:
    good, ask = way

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def check(data: st.DataObject) -> None:
        claims = data.draw(strange_tokens.any_claims(good))
        status, _ = ask(strange_tokens.signed(claims, key))
        if strange_tokens.names_the_same(claims, good):
            assert status in (200, 401)  # nobody reads what has changed, or it is strange
        else:
            assert status in CONTRACT

    check()


def test_a_session_is_of_its_account_alone(
    way: tuple[dict[str, Any], Ask], key: str, world: World
) -> None:
    """Whoever signs tokens: that of one who has logged in makes nobody else of it."""
    good, ask = way
    others = (world.user.root, world.user.extra, world.node.south_registry)
    told = [ask(strange_tokens.signed({**good, "sub": other}, key))[0] for other in others]
    assert set(told) <= CONTRACT


def test_so_it_is_for_many_at_once(app: Flask, call: Caller, key: str, world: World) -> None:
    """As sockets are looked up."""
    token = call(None, "POST", "/token/user", json=LOGIN).json["access_token"]
    good = jwt.decode(token, options={"verify_signature": False})
    with app.app_context():
        mine, forged = (
            tokens.read_bearer(f"Bearer {strange_tokens.signed({**good, 'sub': id}, key)}")
            for id in (good["sub"], world.user.root)
        )
        assert principals.load_all([mine, forged]).keys() == {mine}


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Basic", "JWT", "Bearer Bearer", ""])
def test_a_header_of_another_form_lets_nobody_in(call: Caller, scheme: str) -> None:
    token = call.token("viewer")
    answer = call(None, "GET", "/organization", headers={"Authorization": f"{scheme} {token}"})
    assert answer.status_code == (200 if scheme == "Bearer" else 422 if " " in scheme else 401)
