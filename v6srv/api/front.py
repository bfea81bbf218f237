"""/ and /robots.txt: what people and crawlers ask for who know nothing but the address."""

from flask import Flask, Response, jsonify, redirect, request

from v6srv.vocabulary import V3
from v6srv.wire.version import CONTRACT_VERSIONS, VERSION

DOCUMENTATION, OPENAPI = "apidocs", "apispec_1.json"
"""Paths, relative to the address of the server."""


def register(app: Flask, api_path: str, pages: str | None = None) -> None:
    """Serve both; they need no token and tell nothing that `/version` and OpenAPI do not.

    `pages`: the path of the console, where there is one.
    """
    places = {
        "name": app.name,
        "version": VERSION,
        "contract": CONTRACT_VERSIONS[V3],
        "api": api_path,
        "health": f"{api_path}/health",
        "token": f"{api_path}/token/user",
        **({"console": f"{pages}/"} if pages else {}),
        "documentation": f"/{DOCUMENTATION}",
        "openapi": f"/{OPENAPI}",
    }

    def front() -> Response | object:
        if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
            return redirect(f"{pages[1:]}/" if pages else DOCUMENTATION)  # a browser
        return jsonify(places)

    def robots() -> Response:
        return Response("User-agent: *\nDisallow: /\n", mimetype="text/plain")

    app.add_url_rule("/", view_func=front)
    app.add_url_rule("/robots.txt", view_func=robots)
