"""What there is to say of each resource on the command line, in one table.

Fields are written `name`, or `name:kind` where they are no text, with `*` behind for one that can
be given several times and `!` for one that is needed. A kind is `flag`, `number`, or a resource: of
a row of that the name or the id is given. `name=word` has `--word` for an option.
"""

from collections.abc import Mapping
from typing import NamedTuple

TEXT, FLAG, NUMBER = "text", "flag", "number"


class Field(NamedTuple):
    """A field of a body or a query, and its option."""

    name: str
    option: str
    kind: str
    many: bool
    needed: bool

    @property
    def names_rows(self) -> bool:
        """Whether its values are ids of rows."""
        return self.kind not in (TEXT, FLAG, NUMBER)


class Part(NamedTuple):
    """Rows that belong to one: `add-member` and `remove-member`."""

    word: str
    kind: str
    place: str = ""
    """Where they are, below the path of the row; empty: they are a field of it."""
    by_path: bool = False
    """Whether the path says which, and not a body."""


class Resource(NamedTuple):
    """What the commands of a resource are made of."""

    about: str
    columns: str
    """Of tables and CSV."""
    filters: str
    create: str = ""
    edit: str = ""
    name: str = "name"
    """The column that a row goes by."""
    deletes: bool = False
    dependents: bool = False
    """Whether something can hang on a row that is deleted."""
    parts: tuple[Part, ...] = ()


def plural(kind: str) -> str:
    """The word for several rows of a resource."""
    return f"{kind.removesuffix('y')}ies" if kind.endswith("y") else f"{kind}s"


_PLACE = "organization_id:organization collaboration_id:collaboration"
_SEEN = "last_seen_from last_seen_till"
_PERSON = "firstname lastname"
_ADDRESS = "domain address1 address2 zipcode country public_key"
_RIGHTS = "roles:role* rules:rule*"
_MEMBERS = "organization_ids:organization*"
_TIMES = "assigned_from assigned_till started_from started_till finished_from finished_till"

RESOURCES: Mapping[str, Resource] = {
    "user": Resource(
        "who logs in, with roles and rules of their own.",
        "id username firstname lastname email organization last_seen",
        f"username {_PERSON} email {_PLACE} role_id:role rule_id:rule {_SEEN}",
        f"username! email! {_PERSON} organization_id:organization {_RIGHTS}",
        f"username email {_PERSON} {_RIGHTS}",
        name="username",
        deletes=True,
        dependents=True,
        parts=(Part("role", "role"),),
    ),
    "organization": Resource(
        "who has data, users and nodes.",
        "id name domain country",
        "name country collaboration_id:collaboration study_id:study",
        f"name! {_ADDRESS}",
        f"name {_ADDRESS}",
        deletes=True,
        dependents=True,
    ),
    "collaboration": Resource(
        "organizations that compute together.",
        "id name encrypted",
        "name encrypted:flag organization_id:organization algorithm_store_id:number",
        f"name! {_MEMBERS}! encrypted:flag!",
        f"name {_MEMBERS} encrypted:flag",
        deletes=True,
        dependents=True,
        parts=(Part("member", "organization", "organization"),),
    ),
    "study": Resource(
        "some of the organizations of a collaboration.",
        "id name collaboration",
        f"name {_PLACE}",
        f"name! collaboration_id:collaboration! {_MEMBERS}!",
        f"name {_MEMBERS}",
        deletes=True,
        dependents=True,
        parts=(Part("member", "organization", "organization"),),
    ),
    "node": Resource(
        "the programs that run tasks where the data is.",
        "id name organization collaboration status last_seen",
        f"name {_PLACE} study_id:study status ip {_SEEN}",
        "name collaboration_id:collaboration! organization_id:organization",
        "name ip clear_ip:flag",
        deletes=True,
    ),
    "role": Resource(
        "named sets of rules that users are given.",
        "id name description organization",
        "name* description* organization_id:organization* collaboration_id:collaboration"
        " include_root:flag rule_id:rule user_id=held-by:user",
        "name! description rules:rule*! organization_id:organization",
        "name description rules:rule*",
        deletes=True,
        dependents=True,
        parts=(Part("rule", "rule", "rule", by_path=True),),
    ),
    "rule": Resource(
        "what can be granted, such as task:organization:view.",
        "id name scope operation description",
        "name scope operation role_id:role user_id=held-by:user",
    ),
    "task": Resource(
        "what users ask organizations to compute.",
        "id name image status collaboration init_org init_user created_at",
        "name image description status collaboration_id:collaboration study_id:study"
        " init_org_id:organization init_user_id:user parent_id:task job_id:number run_id:run"
        " store_id:number database is_user_created:flag",
        "name image! organizations:organization*! collaboration_id:collaboration study_id:study"
        " description databases=database* keep_days:number store_id:number",
        deletes=True,
    ),
    "run": Resource(
        "what one organization computes for a task.",
        "id task organization status assigned_at started_at finished_at",
        f"task_id:task {_PLACE} node_id:node state port:number {_TIMES}",
        edit="status log result started_at finished_at",
        name="id",
    ),
}


def fields(text: str) -> list[Field]:
    """The fields that a text of the table names."""
    return [_field(word) for word in text.split()]


def _field(word: str) -> Field:
    many, needed = "*" in word, "!" in word
    name, _, kind = word.rstrip("*!").partition(":")
    name, _, option = name.partition("=")
    if not option:
        option = kind if many and kind else name.removesuffix("_id")
    return Field(name, "--" + option.replace("_", "-"), kind or TEXT, many, needed)
