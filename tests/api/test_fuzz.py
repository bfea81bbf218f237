"""Nothing that a client can send makes the server fail, or answer what its documentation denies.

Schemathesis makes requests from the OpenAPI document, good and bad, for callers of four kinds. No
answer may be a 5xx (but the 501 of a server without VPN), of an undocumented status or of another
shape than documented; a 4xx is JSON with a text `msg`. On PostgreSQL only root is played: nobody
else gets further. `make fuzz` makes many more.
"""

import os

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import CHECKS
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.support import Caller
from tests.world import World

PRINCIPALS = ("second_root", "researcher", "north_registry", "container")
EXAMPLES = int(os.environ.get("V6SRV_TEST_FUZZ", "5"))


def test_the_checks_we_rely_on_exist() -> None:
    names = {check.__name__ for check in CHECKS.get_all()}
    assert {"status_code_conformance", "response_schema_conformance"} <= names


@pytest.mark.parametrize(
    ("backend", "who"),
    [*(("sqlite", who) for who in PRINCIPALS), ("postgresql", "second_root")],
    indirect=["backend"],
)
@pytest.mark.parametrize("document", ["/apispec_1.json", "/v4/apispec_1.json"])
def test_no_request_breaks_the_server(
    app: Flask, world: World, call: Caller, document: str, who: str, backend: str
) -> None:
    headers = {"Authorization": f"Bearer {call.token(who)}"}
    operations = _cases(document, app)
    assert len(operations) >= 67
    assert sum(map(len, operations)) > 3 * len(operations)
    for cases in operations:
        for case in cases:
            _send(case, headers, app)


_made: dict[str, list[list[schemathesis.Case]]] = {}


def _cases(document: str, app: Flask) -> list[list[schemathesis.Case]]:
    """For each operation, the same for all callers: to make them takes longer than to ask them."""
    if document not in _made:
        config = SchemathesisConfig.from_dict({})
        schema = schemathesis.openapi.from_wsgi(document, app, config=config)
        _made[document] = [_made_of(found.ok()) for found in schema.get_all_operations()]
    return _made[document]


def _made_of(operation: schemathesis.schemas.APIOperation) -> list[schemathesis.Case]:
    strategy = operation.as_strategy() | operation.as_strategy(
        generation_mode=schemathesis.GenerationMode.NEGATIVE
    )
    made: list[schemathesis.Case] = []

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def note(case: schemathesis.Case) -> None:
        made.append(case)

    note()
    return made


def _send(case: schemathesis.Case, headers: dict[str, str], app: Flask) -> None:
    operation = case.operation
    response = case.call(headers=headers, app=app)
    where = f"{operation.method} {operation.path}: {response.status_code} {response.text[:300]}"
    assert response.status_code < 500 or response.status_code == 501, where
    case.validate_response(
        response,
        checks=[status_code_conformance, content_type_conformance, response_schema_conformance],
    )
    if response.status_code >= 400:
        assert isinstance(response.json()["msg"], str), where
