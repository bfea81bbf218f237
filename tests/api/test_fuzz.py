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
from hypothesis import HealthCheck, given, settings
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
    schema = schemathesis.openapi.from_wsgi(document, app, config=SchemathesisConfig.from_dict({}))
    headers = {"Authorization": f"Bearer {call.token(who)}"}
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= 67
    for operation in operations:
        _fuzz(operation, headers)


def _fuzz(operation: schemathesis.schemas.APIOperation, headers: dict[str, str]) -> None:
    strategy = operation.as_strategy() | operation.as_strategy(
        generation_mode=schemathesis.GenerationMode.NEGATIVE
    )

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=strategy)
    def run(case: schemathesis.Case) -> None:
        response = case.call(headers=headers)
        where = f"{operation.method} {operation.path}: {response.status_code} {response.text[:300]}"
        assert response.status_code < 500 or response.status_code == 501, where
        case.validate_response(
            response,
            checks=[
                status_code_conformance,
                content_type_conformance,
                response_schema_conformance,
            ],
        )
        if response.status_code >= 400:
            assert isinstance(response.json()["msg"], str), where

    run()
