"""OpenAPI: of 3.x at /apispec_1.json, with its page at /apidocs; of 4.x the same below /v4."""

from collections.abc import Mapping
from threading import Lock
from time import sleep
from typing import Any

import flask_smorest
from flask import Flask

from v6srv import request_id
from v6srv.api import front
from v6srv.api.blueprint import Blueprint
from v6srv.vocabulary import V3, V4
from v6srv.wire.version import VERSION


class Api(flask_smorest.Api):
    """Describes the endpoints when the document is first asked for: that is half of a start."""

    def __init__(self, app: Flask, dialect: int) -> None:
        self._dialect = dialect
        super().__init__(app, config_prefix=PREFIXES[dialect])
        self._undescribed: list[Blueprint] = []
        self._describing = Lock()
        describe = app.before_request_funcs.setdefault(self._make_doc_blueprint_name(), [])
        describe.append(self._describe)

    def register_blueprint(self, blp: Blueprint, **options: Any) -> None:
        """Register the endpoints; `options` are those of Flask."""
        name = self._name(blp)
        self._app.extensions["flask-smorest"]["blp_name_to_api"][name] = self
        self._app.register_blueprint(blp, name=name, **options)
        self._undescribed.append(blp)

    def _name(self, blp: Blueprint) -> str:
        """What it is called in Flask's tables."""
        return f"{PREFIXES[self._dialect]}{blp.name}"

    def _describe(self) -> None:
        with self._describing:
            while self._undescribed:
                blp = self._undescribed[0]
                blp.register_views_in_doc(
                    self, self._app, self.spec, name=self._name(blp), parameters=None
                )
                self.spec.tag({"name": blp.name, "description": blp.description})
                self._undescribed.pop(0)  # not before: half a document would be taken for all
                sleep(0)  # under gevent others get their turn


PREFIXES = {V3: "", V4: "v4_"}
"""Before the names of what both dialects have, in Flask's tables."""


def configuration(mounts: Mapping[int, str]) -> dict[str, Any]:
    """Flask's settings: where documents and pages are, without anything from outside."""
    return {
        f"{PREFIXES[dialect].upper()}{name}": value
        for dialect, mount in mounts.items()
        for name, value in _configuration(dialect, mount).items()
    }


def _configuration(dialect: int, api_path: str) -> dict[str, Any]:
    return {
        "API_TITLE": "v6srv",
        "API_VERSION": VERSION,
        "OPENAPI_VERSION": "3.0.3",
        "OPENAPI_URL_PREFIX": "/" if dialect == V3 else f"/v{dialect}",
        "OPENAPI_JSON_PATH": front.OPENAPI,
        "OPENAPI_SWAGGER_UI_PATH": f"/{front.DOCUMENTATION}",
        "OPENAPI_SWAGGER_UI_URL": "/static/swagger-ui/",
        "OPENAPI_SWAGGER_UI_CONFIG": {
            "showExtensions": True,  # x-required-rule is one
            "validatorUrl": None,  # unset, somebody else is asked about this document
        },
        "API_SPEC_OPTIONS": {
            "info": {
                "description": f"Log in with `POST {api_path}/token/user` (nodes:"
                f" `{api_path}/token/node`) and send the `access_token` of the answer with every"
                " other request: `Authorization: Bearer <access_token>`. Before it expires,"
                f" `POST {api_path}/token/refresh` with the `refresh_token` gives a new one.\n\n"
                "Every operation says in `x-required-rule` what the policies must grant its caller."
                f"\n\nEvery answer has an `{request_id.HEADER}`: the one that was sent, if it is at"
                " most 128 letters, digits and `._~:/+=@-`, or a new one. It finds the request in"
                " the server's log."
            },
            # The host of this document: a proxy in front has another name than this process knows.
            "servers": [
                {"url": "/", "description": f"This server; its REST paths begin with {api_path}"}
            ],
            "components": {
                "securitySchemes": {
                    "bearer": {
                        "type": "http",
                        "scheme": "bearer",
                        "bearerFormat": "JWT",
                        "description": f"The `access_token` that `POST {api_path}/token/user`"
                        " answers with",
                    }
                }
            },
        },
    }
