"""Every request that the documents of both dialects know: a new route is in it by itself.

Each path and each field that names a row by its id is asked with rows of the caller and with ids
that the caller has nothing to do with.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from werkzeug.test import Client

from tests.world import IMAGE, World
from v6srv.vocabulary import V3, V4

DOCUMENTS = {V3: ("/apispec_1.json", "/api"), V4: ("/v4/apispec_1.json", "/v4/api")}
OTHERS = (7777, 7778)
"""Ids of rows that the caller has nothing to do with, whatever table they are in."""
TEXT = "hidden"
"""What is in each of their names."""
VERBS = ("get", "post", "patch", "delete")


@dataclass(frozen=True)
class Question:
    """A request without its caller."""

    dialect: int
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = field(default=None, hash=False)

    def __str__(self) -> str:
        shown = "&".join(f"{name}={value}" for name, value in self.query)
        return f"{self.method} {self.path}{shown and '?'}{shown} {self.body or ''}".strip()


@dataclass(frozen=True)
class Operation:
    """One method of one path, as the document of a dialect describes it."""

    dialect: int
    method: str
    path: str
    """With `{id}` and the like."""
    described: Mapping[str, Any] = field(hash=False)
    schemas: Mapping[str, Any] = field(hash=False, repr=False)

    @property
    def reads(self) -> bool:
        """Whether it is a GET."""
        return self.method == "GET"

    @property
    def is_open(self) -> bool:
        """Whether no token is needed."""
        return not self.described.get("security")

    @property
    def resource(self) -> str:
        """The first word of the path, below the base path."""
        return self.path.removeprefix(DOCUMENTS[self.dialect][1]).split("/")[1]

    @property
    def fields(self) -> Mapping[str, Any]:
        """The fields of its body."""
        content = self.described.get("requestBody", {}).get("content", {})
        name = content.get("application/json", {}).get("schema", {}).get("$ref", "")
        found: Mapping[str, Any] = self.schemas.get(name.rpartition("/")[2], {}).get(
            "properties", {}
        )
        return found

    @property
    def parameters(self) -> Iterator[tuple[str, list[str]]]:
        """Each parameter of its query, and the values that say something of other rows."""
        for one in self.described.get("parameters", ()):
            if one.get("in") != "query":
                continue
            if one["name"] == "include":
                words = re.findall(r"`(\w+)`", one.get("description", ""))
                yield "include", words
            elif one["schema"].get("type") == "integer":
                yield one["name"], [str(OTHERS[0])]
            elif one["schema"].get("type") == "string" and one["name"] != "sort":
                yield one["name"], [f"%{TEXT}%"]


def operations(app: Flask) -> list[Operation]:
    """All of them."""
    client = app.test_client()
    found = []
    for dialect, (place, _base) in DOCUMENTS.items():
        document = client.get(place).get_json()
        for path, methods in document["paths"].items():
            found += [
                Operation(
                    dialect, verb.upper(), path, methods[verb], document["components"]["schemas"]
                )
                for verb in VERBS
                if verb in methods
            ]
    return found


class Writer:
    """Writes questions, with ids of rows that organization north has to do with where it can."""

    def __init__(self, world: World) -> None:
        self._own: Mapping[str, Any] = {
            "organization": world.org.north,
            "collaboration": world.collab.registry,
            "node": world.node.north_registry,
            "task": world.task.running,
            "result": world.result["running", "north"],
            "run": world.result["running", "north"],
            "user": world.user.viewer,
            "role": world.role.analysts,
            "port": world.port["first"],
            "rule": 1,
            "version": 1,
            "line": 1,
            "study": 1,
            "store": 1,
            "algorithmstore": 1,
        }

    def plain(self, operation: Operation) -> Iterator[Question]:
        """A GET, of own rows and of others."""
        for path in self._paths(operation):
            yield Question(operation.dialect, operation.method, path)

    def filtered(self, operation: Operation) -> Iterator[Question]:
        """A GET with each parameter of its query, of own rows."""
        path = next(self._paths(operation))
        for name, values in operation.parameters:
            for value in values:
                query = ((name, value), ("page", "1"), ("per_page", "3"))
                yield Question(operation.dialect, "GET", path, query)

    def written(self, operation: Operation) -> Iterator[Question]:
        """Something else than a GET that names at least one row of others."""
        own, *others = self._paths(operation)
        body = dict(self._body(operation, own))
        for path in others:
            yield self._question(operation, path, body)
        names = [name for name in operation.fields if self._names_rows(name)]
        for name, id in itertools.product(names, OTHERS):
            yield self._question(operation, own, {**body, name: _as(name, id)})
        for one in operation.described.get("parameters", ()):
            if one["in"] == "query" and one["schema"].get("type") == "integer":
                query = ((one["name"], str(OTHERS[0])),)
                yield Question(operation.dialect, operation.method, own, query, {})

    def _question(self, operation: Operation, path: str, body: Any) -> Question:
        return Question(operation.dialect, operation.method, path, body=body)

    def _paths(self, operation: Operation) -> Iterator[str]:
        yield re.sub(r"\{(\w+)\}", lambda found: str(self._id(operation, found[1])), operation.path)
        for id in OTHERS if "{" in operation.path else ():
            yield re.sub(r"\{\w+\}", str(id), operation.path)

    def _id(self, operation: Operation, name: str) -> Any:
        before = operation.path.partition(f"{{{name}}}")[0].rstrip("/").rpartition("/")[2]
        return self._own.get(before, OTHERS[0])

    @staticmethod
    def _names_rows(name: str) -> bool:
        return name in ("id", "roles", "organizations") or name.endswith(("_id", "_ids"))

    def _body(self, operation: Operation, path: str) -> Iterator[tuple[str, Any]]:
        for name, schema in operation.fields.items():
            if name == "id":
                yield name, self._own.get(path.rpartition("/")[2].rstrip("s"), OTHERS[0])
            elif name in ("organizations", "organization_ids", "roles"):
                own = self._own["role" if name == "roles" else "organization"]
                yield name, _as(name, own)
            elif name.endswith("_id"):
                if (own := self._own.get(name.removesuffix("_id"))) is not None:
                    yield name, own
            elif name == "image":
                yield name, IMAGE
            elif name in _WORDS:
                yield name, _WORDS[name]
            elif schema.get("type") == "string" and "format" not in schema:
                yield name, "newly made"


_WORDS = {"email": "newly@north.example", "username": "newly", "password": "Kq7#vT2m!zRw9"}
"""What must be of a certain form."""


def _as(name: str, id: int) -> Any:
    if name == "organizations":
        return [{"id": id, "input": "aW5wdXQ="}]
    return [id] if name.endswith("s") else id


def ask(client: Client, token: str | None, question: Question) -> tuple[Any, ...]:
    """What an answer tells: its status, headers and body, without the ids of the request."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = client.open(
        question.path,
        method=question.method,
        query_string=list(question.query),
        headers=headers,
        json=question.body,
    )
    told = {name: value for name, value in answer.headers if name not in ("Date", "X-Request-ID")}
    body = re.sub(r'"(request_id|decision_id)":"[^"]*"', "", answer.text)
    return answer.status_code, told, body
