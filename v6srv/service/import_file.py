"""Import files as people write them: checked as a whole before anything else happens.

What files of 3.x hold without a meaning is read past with a warning; anything else that is unknown
is refused, for it would be lost in silence.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from v6srv import yaml_files
from v6srv.errors import Invalid
from v6srv.model import Organization
from v6srv.suggestions import suggestion

_TEXTS = ("name", "domain", "address1", "address2", "zipcode", "country")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_USER = ("username", "firstname", "lastname", "password", "email")
_KNOWN: Mapping[str, frozenset[str]] = {
    "file": frozenset({"organizations", "collaborations"}),
    "organization": frozenset({*_TEXTS, "public_key", "users"}),
    "user": frozenset({*_USER, "roles"}),
    "collaboration": frozenset({"name", "encrypted", "participants", "tasks"}),
    "participant": frozenset({"name", "api_key"}),
}
_WITHOUT_MEANING: Mapping[str, frozenset[str]] = {
    "file": frozenset({"nodes"}),
    "organization": frozenset({"id", "nodes"}),
    "user": frozenset({"id"}),
    "collaboration": frozenset({"id", "nodes", *_TEXTS}) - {"name"},
    "participant": frozenset({"id"}),
}
"""What the 3.x server, its generator of demo networks and older releases read past."""
_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True} | {
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


@dataclass(frozen=True, slots=True)
class Document:
    """A file whose content is known to be usable, apart from what the database says."""

    organizations: list[dict[str, Any]]
    """With `users`, whose `roles` are names, or None for the role that holds every rule."""
    collaborations: list[dict[str, Any]]
    warnings: list[str]
    """What is in the file and has no effect."""

    @property
    def size(self) -> int:
        """How many entities it names."""
        users = sum(len(o["users"]) for o in self.organizations)
        parts = sum(len(c["participants"]) + len(c["tasks"]) for c in self.collaborations)
        return len(self.organizations) + users + len(self.collaborations) + parts


def load(path: Path) -> Document:
    """Read and check a file. Raises Invalid with a line for each problem."""
    reader = _Reader(path.name)
    document = reader.document(yaml_files.values(yaml_files.read(path)))
    if reader.problems:
        raise Invalid("\n".join(reader.problems))
    return document


class _Reader:
    """Reads one file; goes on after a problem, to find them all."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problems: list[str] = []
        self.meaningless: dict[tuple[str, str], list[str]] = {}
        """Where keys stand that are read past, by the kind of what has them and their names."""

    def document(self, content: Any) -> Document:
        root = self.mapping(content, self.name, "file")
        document = Document(
            [
                self.organization(one, f"organizations[{index}]")
                for index, one in enumerate(self.list_(root, "organizations", self.name))
            ],
            [
                self.collaboration(one, f"collaborations[{index}]")
                for index, one in enumerate(self.list_(root, "collaborations", self.name))
            ],
            [],
        )
        for (_, key), places in self.meaningless.items():
            times = f" ({len(places)} times)" if len(places) > 1 else ""
            document.warnings.append(f"{places[0]}: {key} has no meaning here{times}")
        users = [user for one in document.organizations for user in one["users"]]
        self.once("organization", (one["name"] for one in document.organizations))
        self.once("user", (user["username"] for user in users))
        self.once("email", (user["email"] for user in users))
        self.once("collaboration", (one["name"] for one in document.collaborations))
        self.different_keys(document.collaborations)
        return document

    # --- what a file holds

    def organization(self, value: Any, where: str) -> dict[str, Any]:
        given = self.mapping(value, where, "organization")
        texts = {key: self.text(given, key, where, needed=key == "name") for key in _TEXTS}
        key = self.text(given, "public_key", where)
        try:
            Organization(public_key=key)
        except Invalid as error:
            self.problems.append(f"{where}: {error}")
        users = [
            self.user(one, f"{where}.users[{index}]")
            for index, one in enumerate(self.list_(given, "users", where))
        ]
        return {**texts, "public_key": key, "users": users}

    def user(self, value: Any, where: str) -> dict[str, Any]:
        given = self.mapping(value, where, "user")
        needed = ("username", "password")
        texts = {key: self.text(given, key, where, needed=key in needed) for key in _USER}
        return {**texts, "roles": self.roles(given, where)}

    def roles(self, given: Mapping[str, Any], where: str) -> list[str] | None:
        """Names of roles: a list, or one name; None when the file says nothing about them."""
        if "roles" not in given:
            return None
        value = given["roles"]
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(n, str) and n.strip() for n in names):
            self.problems.append(f"{where}: roles: a list of names is expected, [] for none")
            return []
        self.once("role", names, f"{where}: ")
        return names

    def collaboration(self, value: Any, where: str) -> dict[str, Any]:
        given = self.mapping(value, where, "collaboration")
        encrypted = _BOOLEANS.get((self.text(given, "encrypted", where) or "true").lower())
        if encrypted is None:
            self.problems.append(f"{where}: encrypted: true or false is expected")
        participants = [
            self.participant(one, f"{where}.participants[{index}]")
            for index, one in enumerate(self.list_(given, "participants", where))
        ]
        tasks = self.list_(given, "tasks", where)
        self.problems += [
            f"{where}: tasks[{index}]: an image is missing"
            for index, image in enumerate(tasks)
            if not isinstance(image, str) or not image.strip()
        ]
        self.once("participant", (one["name"] for one in participants), f"{where}: ")
        if tasks and not participants:
            self.problems.append(f"{where}: tasks need participants")
        return {
            "name": self.text(given, "name", where, needed=True),
            "encrypted": encrypted,
            "participants": participants,
            "tasks": tasks,
        }

    def participant(self, value: Any, where: str) -> dict[str, Any]:
        given = self.mapping(value, where, "participant")
        key = self.text(given, "api_key", where, needed=True)
        if key and not _UUID.fullmatch(key):
            self.problems.append(f"{where}: api_key is not a valid UUID in lower case")
        return {"name": self.text(given, "name", where, needed=True), "api_key": key}

    def different_keys(self, collaborations: Iterable[Mapping[str, Any]]) -> None:
        """A node is found by its key. Keys are secrets: their places are told."""
        places: dict[str, str] = {}
        for index, collaboration in enumerate(collaborations):
            for number, one in enumerate(collaboration["participants"]):
                where = f"collaborations[{index}].participants[{number}]"
                first = places.setdefault(one["api_key"] or where, where)
                if first != where:
                    self.problems.append(f"{where}: has the API key of {first}")

    # --- parts

    def mapping(self, value: Any, where: str, kind: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.problems.append(f"{where}: a mapping of keys is expected")
            return {}
        unknown = sorted(value.keys() - _KNOWN[kind])
        for key in unknown:
            if key in _WITHOUT_MEANING[kind]:
                self.meaningless.setdefault((kind, key), []).append(where)
        self.problems += [
            f"{where}: unknown key {key}{suggestion(key, sorted(_KNOWN[kind]))}"
            for key in unknown
            if key not in _WITHOUT_MEANING[kind]
        ]
        return value

    def list_(self, parent: Mapping[str, Any], key: str, where: str) -> list[Any]:
        value = parent.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.problems.append(f"{where}: {key}: a list is expected")
            return []
        return value

    def text(
        self, parent: Mapping[str, Any], key: str, where: str, *, needed: bool = False
    ) -> str | None:
        value = parent.get(key)
        if value is None or value == "":
            if needed:
                self.problems.append(f"{where}: {key} is missing")
            return value
        if not isinstance(value, str):
            self.problems.append(f"{where}: {key}: text is expected")
            return None
        return value

    def once(self, kind: str, names: Iterable[str | None], where: str = "") -> None:
        """Names are how things are known here: two of the same would be one."""
        seen: set[str] = set()
        for name in names:
            if name and name in seen:
                self.problems.append(f"{where}{kind} {name} is named twice")
            seen.add(name or "")
