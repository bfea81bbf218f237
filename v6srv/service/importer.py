"""Import files: organizations, users, collaborations, nodes and tasks (operations.md 5).

The whole file is checked before anything is written, and it is written in one transaction. What
exists already is left as it is and reported, so an import can be repeated.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import yaml
from sqlalchemy import select

from v6srv.authz.rules import OWN_RULES
from v6srv.authz.store import note_lines_changed, note_members_changed
from v6srv.db import session, writing
from v6srv.errors import Invalid
from v6srv.model import Collaboration, Node, Organization, Result, Role, Rule, Run, Task, User
from v6srv.service.setup import ROOT
from v6srv.vocabulary import ResultStatus

SUPER = "super"
"""The role of all imported users of an organization; it holds every rule there is."""

_TEXTS = ("name", "domain", "address1", "address2", "zipcode", "country")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_KNOWN: Mapping[str, frozenset[str]] = {
    "file": frozenset({"organizations", "collaborations"}),
    "organization": frozenset({*_TEXTS, "public_key", "users"}),
    "user": frozenset({"username", "firstname", "lastname", "password", "email"}),
    "collaboration": frozenset({"name", "encrypted", "participants", "tasks"}),
    "participant": frozenset({"name", "api_key"}),
}
_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True} | {
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}

Progress = Callable[[int, int], None]
"""Called with the number of entities done and in all."""


class Secrets(Protocol):
    """What an import needs of `identity.passwords`, a layer above this one."""

    def hash_password(self, text: str, /) -> str:
        """A hash to store."""

    def password_problem(self, text: str, /) -> str | None:
        """The first password rule that `text` breaks."""

    def key_digest(self, key: str, /) -> str:
        """The digest that a node is found by."""


@dataclass(frozen=True, slots=True)
class Document:
    """A file whose content is known to be usable, apart from what the database says."""

    organizations: list[dict[str, Any]]
    collaborations: list[dict[str, Any]]

    @property
    def size(self) -> int:
        """How many entities it names."""
        users = sum(len(o["users"]) for o in self.organizations)
        parts = sum(len(c["participants"]) + len(c["tasks"]) for c in self.collaborations)
        return len(self.organizations) + users + len(self.collaborations) + parts


@dataclass(slots=True)
class Summary:
    """How many of each kind were added, and what was there already, by kind and name."""

    added: dict[str, int] = field(default_factory=dict)
    existing: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """What was stored as it is, and should not stay so."""

    def add(self, kind: str) -> None:
        """Count one."""
        self.added[kind] = self.added.get(kind, 0) + 1

    def skip(self, kind: str, name: object) -> None:
        """Note one that exists."""
        self.existing.append(f"{kind} {name}")


# --- reading


class _Loader(yaml.SafeLoader):
    """Reads scalars as the text that is written; only null has a meaning.

    YAML takes the zip code 01067 for the number 567, and the country NO for false.
    """

    yaml_implicit_resolvers = {
        first: [pair for pair in pairs if pair[0].endswith((":null", ":merge"))]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_scalar(self, node: Any) -> Any:
        """The text of a scalar; refuses what no database stores: NUL and lone surrogates."""
        text = super().construct_scalar(node)
        if any(character == "\x00" or "\ud800" <= character <= "\udfff" for character in text):
            problem = "characters that cannot be stored"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return text


def load(path: Path) -> Document:
    """Read and check a file. Raises Invalid with a line for each problem."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path.name} cannot be read: {error.__class__.__name__}") from error
    except yaml.YAMLError as error:
        raise Invalid(f"{path.name} is not YAML{_place(error)}") from error
    except RecursionError as error:
        raise Invalid(f"{path.name} is nested too deeply") from error
    problems: list[str] = []
    root = _mapping(content, path.name, "file", problems)
    document = Document(
        [
            _organization(one, f"organizations[{index}]", problems)
            for index, one in enumerate(_list(root, "organizations", path.name, problems))
        ],
        [
            _collaboration(one, f"collaborations[{index}]", problems)
            for index, one in enumerate(_list(root, "collaborations", path.name, problems))
        ],
    )
    problems += _repeated(
        "user", (u["username"] for o in document.organizations for u in o["users"])
    )
    problems += _repeated("email", (u["email"] for o in document.organizations for u in o["users"]))
    keys = (p["api_key"] for c in document.collaborations for p in c["participants"])
    problems += _repeated("API key", keys)
    if problems:
        raise Invalid("\n".join(problems))
    return document


def _place(error: yaml.YAMLError) -> str:
    """Where and what, without the line itself: it may hold a password."""
    mark = getattr(error, "problem_mark", None)
    where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{where}: {getattr(error, 'problem', None) or type(error).__name__}"


def _mapping(value: Any, where: str, kind: str, problems: list[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        problems.append(f"{where}: a mapping of keys is expected")
        return {}
    problems += [
        f"{where}: unknown key {key}" for key in sorted(set(map(str, value)) - _KNOWN[kind])
    ]
    return value


def _list(parent: Mapping[str, Any], key: str, where: str, problems: list[str]) -> list[Any]:
    value = parent.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        problems.append(f"{where}: {key}: a list is expected")
        return []
    return value


def _text(
    parent: Mapping[str, Any], key: str, where: str, problems: list[str], *, needed: bool = False
) -> str | None:
    value = parent.get(key)
    if value is None or value == "":
        if needed:
            problems.append(f"{where}: {key} is missing")
        return value
    if not isinstance(value, str):
        problems.append(f"{where}: {key}: text is expected")
        return None
    return value


def _organization(value: Any, where: str, problems: list[str]) -> dict[str, Any]:
    given = _mapping(value, where, "organization", problems)
    texts = {key: _text(given, key, where, problems, needed=key == "name") for key in _TEXTS}
    key = _text(given, "public_key", where, problems)
    try:
        Organization(public_key=key)
    except Invalid as error:
        problems.append(f"{where}: {error}")
    users = [
        _user(one, f"{where}.users[{index}]", problems)
        for index, one in enumerate(_list(given, "users", where, problems))
    ]
    return {**texts, "public_key": key, "users": users}


def _user(value: Any, where: str, problems: list[str]) -> dict[str, Any]:
    given = _mapping(value, where, "user", problems)
    needed = ("username", "password")
    return {
        key: _text(given, key, where, problems, needed=key in needed)
        for key in sorted(_KNOWN["user"])
    }


def _collaboration(value: Any, where: str, problems: list[str]) -> dict[str, Any]:
    given = _mapping(value, where, "collaboration", problems)
    encrypted = _BOOLEANS.get((_text(given, "encrypted", where, problems) or "true").lower())
    if encrypted is None:
        problems.append(f"{where}: encrypted: true or false is expected")
    participants = [
        _participant(one, f"{where}.participants[{index}]", problems)
        for index, one in enumerate(_list(given, "participants", where, problems))
    ]
    tasks = _list(given, "tasks", where, problems)
    problems += [
        f"{where}: tasks[{index}]: an image is missing"
        for index, image in enumerate(tasks)
        if not isinstance(image, str) or not image.strip()
    ]
    problems += _repeated("participant", (one["name"] for one in participants))
    if tasks and not participants:
        problems.append(f"{where}: tasks need participants")
    return {
        "name": _text(given, "name", where, problems, needed=True),
        "encrypted": encrypted,
        "participants": participants,
        "tasks": tasks,
    }


def _participant(value: Any, where: str, problems: list[str]) -> dict[str, Any]:
    given = _mapping(value, where, "participant", problems)
    key = _text(given, "api_key", where, problems, needed=True)
    if key and not _UUID.fullmatch(key):
        problems.append(f"{where}: API key '{key}' is not a valid UUID!")
    return {"name": _text(given, "name", where, problems, needed=True), "api_key": key}


def _repeated(kind: str, names: Iterable[str | None]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name and name in seen:
            yield f"{kind} {name} is named twice"
        seen.add(name or "")


def require_complete(document: Document, root_email: str) -> None:
    """Raise Invalid unless the file can be imported into an empty database.

    Nothing but the file can name a participant there, and nobody but root has an email.
    """
    names = {one["name"] for one in document.organizations}
    problems = [
        _stranger(collaboration, participant["name"])
        for collaboration in document.collaborations
        for participant in collaboration["participants"]
        if participant["name"] not in names
    ]
    problems += [
        _taken(user)
        for one in document.organizations
        for user in one["users"]
        if user["email"] == root_email and user["username"] != ROOT
    ]
    if problems:
        raise Invalid("\n".join(problems))


def _stranger(collaboration: Mapping[str, Any], name: str) -> str:
    return (
        f"collaboration {collaboration['name']}: participant {name} is neither an"
        " organization of the file nor of the database"
    )


def _taken(user: Mapping[str, Any]) -> str:
    return f"the email {user['email']} of {user['username']} belongs to another user"


# --- writing


def run(
    document: Document, secrets: Secrets, progress: Progress = lambda done, total: None
) -> Summary:
    """Add what the document names to the database, in one transaction.

    The database must be seeded. Raises Invalid, and changes nothing, when a participant is no
    organization of the file or the database, or when an email or the key of a node is taken.
    """
    # Hashing takes its time: not inside the transaction that locks out all other writers.
    hashes = {}
    users = [user for one in document.organizations for user in one["users"]]
    for count, user in enumerate(users, 1):
        hashes[user["username"]] = secrets.hash_password(user["password"])
        progress(count, document.size + len(users))
    with writing():
        try:
            summary = _Run(document, hashes, secrets, progress, len(users)).run()
            session.commit()
        except BaseException:
            session.rollback()
            raise
    return summary


class _Run:
    def __init__(
        self,
        document: Document,
        hashes: Mapping[str, str],
        secrets: Secrets,
        progress: Progress,
        done: int,
    ) -> None:
        self.document, self.hashes, self.secrets = document, hashes, secrets
        self.summary = Summary()
        self._progress, self._done = progress, done
        self._total = document.size + done
        # All rules of the contract, as 3.x gives them; the policy itself stays with root.
        own = {rule.resource.value for rule in OWN_RULES}
        self._rules = list(session.scalars(select(Rule).where(Rule.name.not_in(own))))
        self._organizations: dict[str, Organization] = {}

    def run(self) -> Summary:
        for one in self.document.organizations:
            self._organization(one)
        for one in self.document.collaborations:
            self._collaboration(one)
        note_lines_changed()
        note_members_changed()
        return self.summary

    def _step(self, kind: str) -> None:
        self._done += 1
        self._progress(self._done, self._total)
        self.summary.add(kind)

    def _skip(self, kind: str, name: object) -> None:
        self._done += 1
        self._progress(self._done, self._total)
        self.summary.skip(kind, name)

    def _known_organization(self, name: str) -> Organization | None:
        if name not in self._organizations:
            query = select(Organization).where(Organization.name == name)
            found = session.scalars(query.order_by(Organization.id).limit(1)).first()
            if found is None:
                return None
            self._organizations[name] = found
        return self._organizations[name]

    def _organization(self, given: Mapping[str, Any]) -> None:
        organization = self._known_organization(given["name"])
        if organization is None:
            values = {key: value for key, value in given.items() if key != "users"}
            organization = Organization(**values)
            session.add(organization)
            session.flush()
            self._organizations[given["name"]] = organization
            self._step("organization")
        else:
            self._skip("organization", given["name"])
        role = None
        for user in given["users"]:
            role = role or self._super_role(organization)
            self._user(user, organization, role)

    def _super_role(self, organization: Organization) -> Role:
        query = select(Role).where(Role.organization_id == organization.id, Role.name == SUPER)
        role = session.scalars(query.order_by(Role.id).limit(1)).first()
        if role is None:
            role = Role(
                name=SUPER,
                description="Super role",
                organization=organization,
                rules=list(self._rules),
            )
            session.add(role)
            session.flush()
        return role

    def _user(self, given: Mapping[str, Any], organization: Organization, role: Role) -> None:
        name = given["username"]
        if session.scalar(select(User.id).where(User.username == name)) is not None:
            self._skip("user", name)
            return
        email = given["email"] or None
        if email and session.scalar(select(User.id).where(User.email == email)) is not None:
            raise Invalid(_taken(given))
        values = {**given, "password": self.hashes[name], "email": email}
        user = User(**values, organization_id=organization.id)
        session.add(user)
        user.roles.append(role)
        session.flush()
        problem = self.secrets.password_problem(given["password"])
        if problem is not None:  # old files must stay usable (A19)
            self.summary.warnings.append(f"the password of user {name} is weak: {problem}")
        self._step("user")

    def _collaboration(self, given: Mapping[str, Any]) -> None:
        members = [self._participating(given, one) for one in given["participants"]]
        query = select(Collaboration).where(Collaboration.name == given["name"])
        collaboration = session.scalars(query).first()
        fresh = collaboration is None
        if collaboration is None:
            collaboration = Collaboration(name=given["name"], encrypted=given["encrypted"])
            session.add(collaboration)
            self._step("collaboration")
        else:
            self._skip("collaboration", given["name"])
        for organization in members:
            if organization not in collaboration.organizations:
                collaboration.organizations.append(organization)
        session.flush()
        for organization, one in zip(members, given["participants"], strict=True):
            self._node(organization, collaboration, one["api_key"])
        for image in given["tasks"]:
            if fresh:
                self._task(collaboration, members, image)
            else:
                self._skip("task", image)

    def _participating(
        self, collaboration: Mapping[str, Any], one: Mapping[str, Any]
    ) -> Organization:
        organization = self._known_organization(one["name"])
        if organization is None:
            raise Invalid(_stranger(collaboration, one["name"]))
        return organization

    def _node(self, organization: Organization, collaboration: Collaboration, api_key: str) -> None:
        name = f"{organization.name} - {collaboration.name} Node"
        digest = self.secrets.key_digest(api_key)
        there = session.scalars(
            select(Node).where(
                Node.organization_id == organization.id, Node.collaboration_id == collaboration.id
            )
        ).first()
        owner = session.scalars(select(Node).where(Node.key_digest == digest)).first()
        if owner is not None and owner is not there:
            raise Invalid(f"the API key of {name} belongs to the node {owner.name}")
        if there is not None:
            self._skip("node", there.name)
            return
        session.add(
            Node(
                name=name,
                key_digest=digest,
                organization_id=organization.id,
                collaboration_id=collaboration.id,
            )
        )
        session.flush()
        self._step("node")

    def _task(self, collaboration: Collaboration, members: list[Organization], image: str) -> None:
        run = Run()
        session.add(run)
        session.flush()
        session.add(
            Task(
                name="Example task",
                description="",
                image=image,
                database="default",
                collaboration_id=collaboration.id,
                run_id=run.id,
                initiator_id=members[0].id,
                results=[
                    Result(
                        organization_id=member.id,
                        input="something",
                        status=ResultStatus.PENDING.value,
                    )
                    for member in members
                ],
            )
        )
        session.flush()
        self._step("task")
