"""Import files as people write them: checked as a whole before anything else happens.

What files of 3.x hold without a meaning is read past with a warning; anything else that is unknown
is refused, for it would be lost in silence.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from v6srv import names, yaml_files
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
    """With `users`, whose `roles` are names, or None for the role that holds every rule.

    `where` of every entity is its path in the file, and no value of it.
    """
    collaborations: list[dict[str, Any]]
    warnings: list[str]
    """What is in the file and has no effect."""
    places: Mapping[str, str]

    def at(self, given: Mapping[str, Any], key: str = "") -> str:
        """Where an entity of the file stands, or one of its keys: `file:line:column`."""
        where = given["where"]
        return self.places.get(f"{where}.{key}") or self.places[where]

    @property
    def size(self) -> int:
        """How many entities it names."""
        users = sum(len(o["users"]) for o in self.organizations)
        parts = sum(len(c["participants"]) + len(c["tasks"]) for c in self.collaborations)
        return len(self.organizations) + users + len(self.collaborations) + parts


def load(path: Path) -> Document:
    """Read and check a file. Raises Invalid with a line for each problem."""
    root = yaml_files.read(path)
    reader = _Reader(yaml_files.places(root, path.name))
    document = reader.document(yaml_files.values(root))
    if reader.problems:
        raise Invalid("\n".join(reader.problems))
    return document


class _Reader:
    """Reads one file; goes on after a problem, to find them all."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self.places = places
        self.problems: list[str] = []
        self.meaningless: dict[tuple[str, str], list[str]] = {}
        """Where keys stand that are read past, by the kind of what has them and their names."""

    def document(self, content: Any) -> Document:
        root = self.mapping(content, "", "file")
        document = Document(
            [
                self.organization(one, f"organizations[{index}]")
                for index, one in enumerate(self.list_(root, "organizations", ""))
            ],
            [
                self.collaboration(one, f"collaborations[{index}]")
                for index, one in enumerate(self.list_(root, "collaborations", ""))
            ],
            [],
            self.places,
        )
        for (_, key), places in self.meaningless.items():
            times = f" ({len(places)} times)" if len(places) > 1 else ""
            document.warnings.append(self.said(places[0], f"{key} has no meaning here{times}", key))
        users = [user for one in document.organizations for user in one["users"]]
        self.once("organization", document.organizations)
        self.once("user", users, "username", names.key)
        self.once("email", users, "email", names.key)
        self.once("collaboration", document.collaborations)
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
            self.tell(where, str(error), "public_key")
        self.ask_rules("organization", texts, where)
        users = [
            self.user(one, f"{where}.users[{index}]")
            for index, one in enumerate(self.list_(given, "users", where))
        ]
        return {**texts, "where": where, "public_key": key, "users": users}

    def user(self, value: Any, where: str) -> dict[str, Any]:
        given = self.mapping(value, where, "user")
        needed = ("username", "password")
        texts = {key: self.text(given, key, where, needed=key in needed) for key in _USER}
        self.ask_rules("user", texts, where)
        return {**texts, "where": where, "roles": self.roles(given, where)}

    def roles(self, given: Mapping[str, Any], where: str) -> list[str] | None:
        """Names of roles: a list, or one name; None when the file says nothing about them."""
        if "roles" not in given:
            return None
        value = given["roles"]
        roles = [value] if isinstance(value, str) else value
        if not isinstance(roles, list) or not all(isinstance(n, str) and n.strip() for n in roles):
            self.tell(where, "roles: a list of names is expected, [] for none", "roles")
            return []
        self.once("role", [{"where": where, "roles": name} for name in roles], "roles")
        return roles

    def collaboration(self, value: Any, where: str) -> dict[str, Any]:
        given = self.mapping(value, where, "collaboration")
        encrypted = _BOOLEANS.get((self.text(given, "encrypted", where) or "true").lower())
        if encrypted is None:
            self.tell(where, "encrypted: true or false is expected", "encrypted")
        participants = [
            self.participant(one, f"{where}.participants[{index}]")
            for index, one in enumerate(self.list_(given, "participants", where))
        ]
        tasks = self.list_(given, "tasks", where)
        for index, image in enumerate(tasks):
            if not isinstance(image, str) or not image.strip():
                self.tell(f"{where}.tasks[{index}]", "an image is missing")
        self.once("participant", participants)
        if tasks and not participants:
            self.tell(where, "tasks need participants", "tasks")
        name = self.text(given, "name", where, needed=True)
        self.ask_rules("collaboration", {"name": name}, where)
        return {
            "where": where,
            "name": name,
            "encrypted": encrypted,
            "participants": participants,
            "tasks": tasks,
        }

    def participant(self, value: Any, where: str) -> dict[str, Any]:
        given = self.mapping(value, where, "participant")
        key = self.text(given, "api_key", where, needed=True)
        if key and not _UUID.fullmatch(key):
            self.tell(where, "api_key is not a valid UUID in lower case", "api_key")
        name = self.text(given, "name", where, needed=True)
        return {"where": where, "name": name, "api_key": key}

    def different_keys(self, collaborations: Iterable[Mapping[str, Any]]) -> None:
        """A node is found by its key. Keys are secrets: their places are told."""
        places: dict[str, str] = {}
        for collaboration in collaborations:
            for one in collaboration["participants"]:
                where = one["where"]
                first = places.setdefault(one["api_key"] or where, where)
                if first != where:
                    self.tell(where, f"has the API key of {first}", "api_key")

    # --- parts

    def mapping(self, value: Any, where: str, kind: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.tell(where, "a mapping of keys is expected")
            return {}
        unknown = sorted(value.keys() - _KNOWN[kind])
        for key in unknown:
            if key in _WITHOUT_MEANING[kind]:
                self.meaningless.setdefault((kind, key), []).append(where)
            else:
                self.tell(where, f"unknown key {key}{suggestion(key, sorted(_KNOWN[kind]))}", key)
        return value

    def list_(self, parent: Mapping[str, Any], key: str, where: str) -> list[Any]:
        value = parent.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.tell(where, f"{key}: a list is expected", key)
            return []
        return value

    def text(
        self, parent: Mapping[str, Any], key: str, where: str, *, needed: bool = False
    ) -> str | None:
        value = parent.get(key)
        if value is None or value == "":
            if needed:
                self.tell(where, f"{key} is missing", key)
            return value
        if not isinstance(value, str):
            self.tell(where, f"{key}: text is expected", key)
            return None
        return value

    def once(
        self,
        kind: str,
        entities: Iterable[Mapping[str, Any]],
        key: str = "name",
        alike: Callable[[str], str] = str,
    ) -> None:
        """Names are how things are known here: two of the same would be one."""
        seen: dict[str, str] = {}
        for one in entities:
            name = one[key]
            if not name:
                continue
            first = seen.get(alike(name))
            if first == name:
                self.tell(one["where"], f"{kind} {name} is named twice", key)
            elif first:
                same = f"{kind} {name} and {first} are the same but for their case"
                self.tell(one["where"], same, key)
            seen[alike(name)] = name

    def ask_rules(self, table: str, texts: Mapping[str, str | None], where: str) -> None:
        """What is not written has no rule: `text` says what is missing."""
        written = {key: value for key, value in texts.items() if value}
        for key, [fault] in names.faults(table, written).items():
            self.tell(where, f"{key}: {fault}", key)

    def tell(self, where: str, problem: str, key: str = "") -> None:
        """Note a problem of an entity, or of one of its keys."""
        self.problems.append(self.said(where, problem, key))

    def said(self, where: str, remark: str, key: str = "") -> str:
        """The same with its place in front: `file:line:column`."""
        place = self.places.get(f"{where}.{key}".removeprefix(".")) or self.places[where]
        return ": ".join(part for part in (place, where, remark) if part)
