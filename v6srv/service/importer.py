"""Import files: organizations, users, collaborations, nodes and tasks (operations.md 5).

The whole file is checked before anything is written, and it is written in one transaction. What
exists already is left as it is and reported, so an import can be repeated. Names are how a file and
the database know things: where several have one name, nothing is guessed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from sqlalchemy import or_, select

from v6srv import names
from v6srv.authz.facts import rule_text
from v6srv.authz.rules import DEFAULT_ROLES, RULES
from v6srv.authz.unit_of_work import ServerWrite, as_server
from v6srv.db import session, transaction
from v6srv.errors import Invalid
from v6srv.model import (
    Collaboration,
    Node,
    Organization,
    Result,
    Role,
    Rule,
    Run,
    Task,
    TaskDatabase,
    User,
)
from v6srv.model.checks import account_of
from v6srv.service.import_file import Document
from v6srv.service.setup import ROOT
from v6srv.suggestions import suggestion
from v6srv.vocabulary import ResultStatus

SUPER = "super"
"""The role of users whose roles a file does not name, as in 3.x: it holds every rule there is."""

_Named = TypeVar("_Named")

Progress = Callable[[int, int], None]
"""Called with the number of entities done and in all."""


class Secrets(Protocol):
    """What an import needs of `passwords`, a layer above this one."""

    def hash_password(self, text: str, /) -> str:
        """A hash to store."""

    def password_problem(self, text: str, /) -> str | None:
        """The first password rule that `text` breaks."""

    def key_digest(self, key: str, /) -> str:
        """The digest that a node is found by."""


@dataclass(slots=True)
class Summary:
    """How many of each kind were added, and what was there already, by kind and name."""

    added: dict[str, int] = field(default_factory=dict)
    existing: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    """What was stored as it is and should not stay so, or was not stored."""

    def add(self, kind: str) -> None:
        """Count one."""
        self.added[kind] = self.added.get(kind, 0) + 1

    def skip(self, kind: str, name: object) -> None:
        """Note one that exists."""
        self.existing.append(f"{kind} {name}")


def require_complete(document: Document, root_email: str) -> None:
    """Raise Invalid unless the file can be imported into an empty database.

    Nothing but the file can name a participant there, and nobody but root has an email.
    """
    problems = _Problems(document)
    organizations = {one["name"] for one in document.organizations}
    for collaboration in document.collaborations:
        for participant in collaboration["participants"]:
            if participant["name"] not in organizations:
                problems.stranger(collaboration, participant)
    roles = [role.name for role in DEFAULT_ROLES]
    for one in document.organizations:
        for user in one["users"]:
            if user["username"] != ROOT:
                if names.key(user["username"]) == names.key(ROOT):
                    problems.taken(user, "username")
                if user["email"] and names.key(user["email"]) == names.key(root_email):
                    problems.taken(user, "email")
            for name in user["roles"] or ():
                if name not in roles:
                    problems.no_role(user, name, roles)
    problems.refuse()


class _Problems:
    """All that speaks against an import, each with its place in the file."""

    def __init__(self, document: Document) -> None:
        self._at = document.at
        self._found: list[str] = []

    def refuse(self) -> None:
        """Raise Invalid if there is any."""
        if self._found:
            raise Invalid("\n".join(self._found))

    def add(self, given: Mapping[str, Any], key: str, problem: str) -> None:
        """One of an entity of the file, or rather of one of its keys."""
        self._found.append(f"{self._at(given, key)}: {problem}")

    def no_role(self, user: Mapping[str, Any], name: str, known: Iterable[str]) -> None:
        """Nobody knows a role that a user is to have."""
        said = f"user {user['username']}: there is no role {name}{suggestion(name, known)}"
        self.add(user, "roles", said)

    def stranger(self, collaboration: Mapping[str, Any], participant: Mapping[str, Any]) -> None:
        """Nobody knows an organization that is to take part."""
        said = (
            f"collaboration {collaboration['name']}: participant {participant['name']} is neither"
            " an organization of the file nor of the database"
        )
        self.add(participant, "name", said)

    def taken(self, user: Mapping[str, Any], column: str) -> None:
        """Another account has the name or the address of a new one, in some case."""
        said = f"the email {user['email']} of {user['username']} belongs to another user"
        if column == "username":
            said = f"the name of user {user['username']} differs from another user's by case only"
        self.add(user, column, said)

    def the_one(
        self, given: Mapping[str, Any], key: str, what: str, found: Sequence[_Named]
    ) -> _Named | None:
        """The only one of this name, if there is one; several are a problem."""
        if len(found) > 1:
            kind, _, name = what.partition(" ")
            said = (
                f"there are {len(found)} {kind}s called {name}: the file cannot say which one it"
                " means, rename the others"
            )
            self.add(given, key, said)
        return found[0] if found else None


# --- writing


def run(
    document: Document, secrets: Secrets, progress: Progress = lambda done, total: None
) -> Summary:
    """Add what the document names to the database, in one transaction.

    The database must be seeded. Raises Invalid, and changes nothing, when a participant is no
    organization of the file or the database, when a role is unknown, when an email or the key of a
    node is taken, or when several have a name that the file uses: with a line for each problem.
    """
    # Hashing takes its time: not inside the transaction that locks out all other writers.
    hashes = {}
    users = [user for one in document.organizations for user in one["users"]]
    for count, user in enumerate(users, 1):
        hashes[user["username"]] = secrets.hash_password(user["password"])
        progress(count, document.size + len(users))
    with as_server(ServerWrite.COMMAND), transaction():
        return _Run(document, hashes, secrets, progress, len(users)).run()


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
        self.summary = Summary(warnings=list(document.warnings))
        self._with_all_rules = 0
        self._progress, self._done = progress, done
        self._total = document.size + done
        # As 3.x gives them; the policy itself stays with root.
        of_3x = rule_text(Rule.__table__).in_({rule.text for rule in RULES})
        self._rules = list(session.scalars(select(Rule).where(of_3x)))
        self._organizations: dict[str, Organization] = {}
        self._problems = _Problems(document)

    def run(self) -> Summary:
        for one in self.document.organizations:
            self._organization(one)
        for one in self.document.collaborations:
            self._collaboration(one)
        self._problems.refuse()
        if self._with_all_rules:
            self._warn(
                f"users whose roles the file does not name: {self._with_all_rules}. Each has the"
                f" role {SUPER}, which holds every rule of 3.x; write roles: [Researcher] to"
                " give less"
            )
        return self.summary

    def _warn(self, text: str) -> None:
        self.summary.warnings.append(text)

    def _step(self, kind: str) -> None:
        self._done += 1
        self._progress(self._done, self._total)
        self.summary.add(kind)

    def _skip(self, kind: str, name: object) -> None:
        self._done += 1
        self._progress(self._done, self._total)
        self.summary.skip(kind, name)

    def _known_organization(self, given: Mapping[str, Any]) -> Organization | None:
        name = given["name"]
        if name not in self._organizations:
            query = select(Organization).where(Organization.name == name)
            there = session.scalars(query).all()
            found = self._problems.the_one(given, "name", f"organization {name}", there)
            if found is None:
                return None
            self._organizations[name] = found
        return self._organizations[name]

    def _organization(self, given: Mapping[str, Any]) -> None:
        organization = self._known_organization(given)
        if organization is None:
            values = {key: value for key, value in given.items() if key not in ("users", "where")}
            organization = Organization(**values)
            session.add(organization)
            session.flush()
            self._organizations[given["name"]] = organization
            self._step("organization")
        else:
            self._skip("organization", given["name"])
        for user in given["users"]:
            self._user(user, organization)

    def _roles(self, given: Mapping[str, Any], organization: Organization) -> list[Role]:
        """The roles of a user: those that the file names, else the one with every rule."""
        if given["roles"] is None:
            self._with_all_rules += 1
            return [self._super_role(given, organization)]
        roles = [self._role(given, name, organization) for name in given["roles"]]
        return [role for role in roles if role is not None]

    def _role(self, given: Mapping[str, Any], name: str, organization: Organization) -> Role | None:
        usable = or_(Role.organization_id.is_(None), Role.organization_id == organization.id)
        query = select(Role).where(Role.name == name, usable)
        there = session.scalars(query).all()
        role = self._problems.the_one(given, "roles", f"role {name}", there)
        if role is None:
            known = session.scalars(select(Role.name).where(usable).order_by(Role.id))
            self._problems.no_role(given, name, [one for one in known if one])
        return role

    def _super_role(self, given: Mapping[str, Any], organization: Organization) -> Role:
        query = select(Role).where(Role.organization_id == organization.id, Role.name == SUPER)
        there = session.scalars(query).all()
        role = self._problems.the_one(given, "roles", f"role {SUPER}", there)
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

    def _user(self, given: Mapping[str, Any], organization: Organization) -> None:
        name = given["username"]
        known = session.scalars(select(User).where(User.username == name)).one_or_none()
        if known is not None:
            self._skip("user", name)
            if known.organization_id != organization.id:
                self._warn(
                    f"the user {name} stays in another organization than {organization.name}"
                )
            return
        values = {key: given[key] for key in ("username", "firstname", "lastname")}
        values |= {"email": given["email"] or None, "password": self.hashes[name]}
        values["roles"] = self._roles(given, organization)
        taken = [
            column
            for column in ("username", "email")
            if values[column] and account_of(column, values[column]) is not None
        ]
        for column in taken:
            self._problems.taken(given, column)
        if not taken:
            session.add(User(**values, organization_id=organization.id))
            session.flush()
        problem = self.secrets.password_problem(given["password"])
        if problem is not None:  # old files must stay usable (A19)
            self._warn(f"the password of user {name} is weak: {problem}")
        self._step("user")

    def _collaboration(self, given: Mapping[str, Any]) -> None:
        places = [(self._participating(given, one), one) for one in given["participants"]]
        members = [organization for organization, _ in places if organization is not None]
        query = select(Collaboration).where(Collaboration.name == given["name"])
        collaboration = session.scalars(query).one_or_none()  # the name is unique
        fresh = collaboration is None
        if collaboration is None:
            collaboration = Collaboration(name=given["name"], encrypted=given["encrypted"])
            session.add(collaboration)
            self._step("collaboration")
        else:
            self._skip("collaboration", given["name"])
            if collaboration.encrypted != given["encrypted"]:
                now = "encrypted" if collaboration.encrypted else "not encrypted"
                self._warn(f"the collaboration {given['name']} stays {now}")
        for organization in members:
            if organization not in collaboration.organizations:
                collaboration.organizations.append(organization)
        session.flush()
        for place, one in places:
            if place is not None:
                self._node(place, collaboration, one)
        for image in given["tasks"]:
            if fresh and members:
                self._task(collaboration, members, image)
            else:
                self._skip("task", image)

    def _participating(
        self, collaboration: Mapping[str, Any], one: Mapping[str, Any]
    ) -> Organization | None:
        organization = self._known_organization(one)
        if organization is None:
            self._problems.stranger(collaboration, one)
        return organization

    def _node(
        self, organization: Organization, collaboration: Collaboration, given: Mapping[str, Any]
    ) -> None:
        name = names.node_name(organization.name, collaboration.name)
        digest = self.secrets.key_digest(given["api_key"])
        there = session.scalars(
            select(Node).where(
                Node.organization_id == organization.id, Node.collaboration_id == collaboration.id
            )
        ).first()
        owner = session.scalars(select(Node).where(Node.key_digest == digest)).first()
        if owner is not None and owner is not there:
            said = f"the API key of {name} belongs to the node {owner.name}"
            self._problems.add(given, "api_key", said)
            return
        if there is not None:
            self._skip("node", there.name)
            if there.key_digest not in (None, digest):  # None: it still has the hash of 3.x
                self._warn(f"the node {there.name} keeps the API key that it has")
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
        task = Task(
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
        session.add(task)
        session.flush()
        session.add(TaskDatabase(task_id=task.id, label=task.database))
        session.flush()
        self._step("task")
