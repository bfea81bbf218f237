"""What a policy may ask of a row (`r.obj`): each fact once, as SQL.

A scalar fact is a column. A set fact is a condition "the set meets these values". The WHERE of a
list, the decision on one row and explanations are all built from these definitions; there is no
second one. Facts are declared per table; a resource is normally decided on rows of its own table,
and sometimes on rows of another (`node`, view, on an organization: may I see its nodes?).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    Select,
    SQLColumnExpression,
    String,
    and_,
    case,
    exists,
    false,
    func,
    null,
    or_,
    select,
    true,
    type_coerce,
)
from sqlalchemy.sql.elements import BindParameter

from v6srv.authz.fact_types import Fact, implied, naming
from v6srv.authz.restrictions import refused_users
from v6srv.db import LARGEST_ID, Base, is_found
from v6srv.model import (
    CasbinRule,
    Collaboration,
    Member,
    Node,
    Organization,
    Permission,
    Port,
    Result,
    Role,
    RoleRule,
    Rule,
    Study,
    StudyMember,
    Task,
    User,
    UserPermission,
)
from v6srv.vocabulary import Operation, Resource, ResultStatus

Values = BindParameter[Any] | Select[Any]


@dataclass(frozen=True, slots=True)
class Scalar(Fact):
    """One value of a row."""

    column: SQLColumnExpression[Any]


def _numbers(values: Iterable[Any]) -> list[int]:
    """Those that a column can hold; drivers refuse others."""
    whole = (v for v in values if isinstance(v, int) and not isinstance(v, bool))
    return [v for v in whole if abs(v) <= LARGEST_ID]


def _owners(kind: str) -> Callable[[Iterable[Any]], list[int]]:
    """`user:5` -> 5, of this kind only, and only as this server writes it."""
    name = naming(kind)

    def ids(values: Iterable[Any]) -> list[int]:
        found = (name.fullmatch(v) for v in values if isinstance(v, str))
        return _numbers(int(match[1]) for match in found if match)

    return ids


def _texts(values: Iterable[Any]) -> list[str]:
    return [value for value in values if isinstance(value, str)]


@dataclass(frozen=True, slots=True)
class SetOf(Fact):
    """A set of values of a row: the condition that it meets `values` (an expanding parameter)."""

    meets: Callable[[Values], ColumnElement[bool]]
    convert: Callable[[Iterable[Any]], Sequence[Any]] = _numbers
    """Members that conditions name, as `meets` compares them."""
    compared: type = int
    """What `convert` makes."""
    is_set: bool = field(default=True, kw_only=True)


@dataclass(frozen=True, slots=True)
class TableFacts:
    """All facts of one table."""

    model: type[Base]
    key: SQLColumnExpression[int]
    scalars: Mapping[str, Scalar] = field(default_factory=dict)
    sets: Mapping[str, SetOf] = field(default_factory=dict)

    @property
    def facts(self) -> Mapping[str, Fact]:
        """Every fact that may be asked of a row of this table."""
        return {**self.scalars, **self.sets}


# Aliases of our own: a list may join the same tables, and must not be mistaken for these.
_member = Member.alias("fact_member")
_permission = Permission.alias("fact_permission")
_organization = Organization.__table__.alias("fact_organization")
_collaboration = Collaboration.__table__.alias("fact_collaboration")
_study_member = StudyMember.alias("fact_study_member")
_task = Task.__table__.alias("fact_task")
_result = Result.__table__.alias("fact_result")
_role = Role.__table__.alias("fact_role")
_role_rule = RoleRule.alias("fact_role_rule")
_extra_rule = UserPermission.alias("fact_extra_rule")
_rule = Rule.__table__.alias("fact_rule")


def _none(of: type = int) -> SetOf:
    return SetOf(lambda values: false(), of=of, never=True)


_NOBODYS = {"owners": _none(str), "owner_orgs": _none()}


def _one(column: Any, same: str | None = None, of_those_in: str | None = None) -> SetOf:
    """The value of a column; `same`: which is that fact, too."""
    return SetOf(
        lambda values: column.in_(values), same=same, of_those_in=of_those_in, at_most_one=True
    )


def _of_its_organization(column: Any, same: str = "org") -> dict[str, SetOf]:
    return dict.fromkeys(("owner_orgs", "orgs"), _one(column, same))


def _owner(kind: str, column: Any, same: str | None = None) -> SetOf:
    """The account whose id is in a column, of this kind."""
    return replace(_one(column, same), convert=_owners(kind), of=str, kind=kind)


def _is_one_of(column: Any, found: Select[Any]) -> ColumnElement[bool]:
    """The value of a column is found; a row without a value is not: `NOT IN` would not say so."""
    return and_(column.is_not(None), is_found(column, found.scalar_subquery()))


def _members_of(collaboration_id: Any) -> SetOf:
    """The organizations of a collaboration."""
    return SetOf(
        lambda values: _is_one_of(
            collaboration_id,
            select(_member.c.collaboration_id).where(_member.c.organization_id.in_(values)),
        ),
        of_those_in="collabs",
    )


def _collaborations_of(organization_id: Any) -> SetOf:
    """The collaborations of an organization."""
    return SetOf(
        lambda values: _is_one_of(
            organization_id,
            select(_member.c.organization_id).where(_member.c.collaboration_id.in_(values)),
        ),
        of_those_in="orgs",
    )


def rule_text(rule: FromClause) -> ColumnElement[str]:
    """What facts call a rule: `task:organization:view`."""
    scope, operation = (type_coerce(rule.c[name], String) for name in ("scope", "operation"))
    return rule.c.name + ":" + func.lower(scope) + ":" + func.lower(operation)


def _rules(*path: ColumnElement[bool]) -> SetOf:
    """The rules that these joins reach."""
    return SetOf(
        lambda values: exists().where(*path, rule_text(_rule).in_(values)), _texts, str, of=str
    )


def _whether(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """A condition as a value, which databases compare with others."""
    return case((condition, true()), else_=false())


def _through(facts: Mapping[str, SetOf], *path: ColumnElement[bool]) -> dict[str, SetOf]:
    """Set facts of another row, reached by these joins."""

    def reached(meets: Callable[[Values], ColumnElement[bool]]) -> Any:
        return lambda values: exists().where(*path, meets(values))

    return {name: replace(fact, meets=reached(fact.meets)) for name, fact in facts.items()}


def _value(column: Any, type_: type, *path: ColumnElement[bool]) -> Scalar:
    """A scalar fact of another row, reached by these joins."""
    return Scalar(select(column).where(*path).scalar_subquery(), of=type_)


def _encrypted(collaboration_id: Any) -> Scalar:
    return _value(_collaboration.c.encrypted, bool, _collaboration.c.id == collaboration_id)


def _nothing() -> Scalar:
    return Scalar(type_coerce(null(), Integer()), never=True)


def _starters(task: Any) -> dict[str, SetOf]:
    return {"owners": _owner("user", task.init_user_id), "owner_orgs": _one(task.initiator_id)}


def _in_collaboration(collaboration_id: Any) -> dict[str, SetOf]:
    return {"orgs": _members_of(collaboration_id), "collabs": _one(collaboration_id)}


# A result belongs to its task, a port to the result that opened it.
_result_task = (_task.c.id == Result.task_id,)
_port_result = (_result.c.id == Port.result_id,)
_port_task = (*_port_result, _task.c.id == _result.c.task_id)

_users_role = (_permission.c.user_id == User.id, _role.c.id == _permission.c.role_id)
_in_study = _study_member.c.study_id == Study.id
_is_default = and_(Role.organization_id.is_(None), Role.slug.is_not(None))
_in_role = (_rule.c.id == _role_rule.c.rule_id,)
_extra_rules = (_rule.c.id == _extra_rule.c.rule_id,)

TABLES: dict[type[Base], TableFacts] = {
    facts.model: facts
    for facts in (
        TableFacts(
            Organization,
            Organization.id,
            scalars={
                "id": Scalar(Organization.id, always=True),
                "org": Scalar(Organization.id, always=True, same="id"),
                "country": Scalar(Organization.country, of=str),
                "domain": Scalar(Organization.domain, of=str),
            },
            sets={
                "owners": _none(str),
                **_of_its_organization(Organization.id, "id"),
                "collabs": _collaborations_of(Organization.id),
            },
        ),
        TableFacts(
            Collaboration,
            Collaboration.id,
            scalars={
                "id": Scalar(Collaboration.id, always=True),
                "org": _nothing(),
                "encrypted": Scalar(Collaboration.encrypted, of=bool),
            },
            sets={
                **_NOBODYS,
                "orgs": _members_of(Collaboration.id),
                "collabs": _one(Collaboration.id, "id"),
            },
        ),
        TableFacts(
            Node,
            Node.id,
            scalars={
                "id": Scalar(Node.id, always=True, account="node"),
                "org": Scalar(Node.organization_id),
                "status": Scalar(Node.status, of=str, words=("online", "offline")),
                "encrypted": _encrypted(Node.collaboration_id),
            },
            sets={
                "owners": _owner("node", Node.id, "id"),
                **_of_its_organization(Node.organization_id),
                "collabs": _one(Node.collaboration_id, of_those_in="orgs"),
            },
        ),
        TableFacts(
            User,
            User.id,
            scalars={
                "id": Scalar(User.id, always=True, account="user"),
                "org": Scalar(User.organization_id),
                # It has a role of another organization.
                "foreign_roles": Scalar(
                    _whether(
                        exists().where(
                            *_users_role,
                            _role.c.organization_id.is_not(None),
                            _role.c.organization_id.is_distinct_from(User.organization_id),
                        )
                    ),
                    of=bool,
                    always=True,
                ),
            },
            sets={
                "owners": _owner("user", User.id, "id"),
                **_of_its_organization(User.organization_id),
                "collabs": _collaborations_of(User.organization_id),
                # Those that it has by itself, and those of its roles.
                "rules": _rules(_extra_rule.c.user_id == User.id, *_extra_rules),
                "role_rules": _rules(*_users_role, _role_rule.c.role_id == _role.c.id, *_in_role),
            },
        ),
        TableFacts(
            Role,
            Role.id,
            scalars={
                "id": Scalar(Role.id, always=True),
                "org": Scalar(Role.organization_id),
                "default": Scalar(
                    _whether(Role.slug.is_not(None)), of=bool, always=True, late=True
                ),
            },
            sets={
                "owners": SetOf(
                    lambda values: exists().where(
                        _permission.c.role_id == Role.id, _permission.c.user_id.in_(values)
                    ),
                    _owners("user"),
                    of=str,
                    kind="user",
                ),
                "owner_orgs": _one(Role.organization_id, "org"),
                # A default role belongs to every organization and collaboration there is.
                "orgs": SetOf(
                    lambda values: or_(
                        Role.organization_id.in_(values),
                        and_(_is_default, exists().where(_organization.c.id.in_(values))),
                    ),
                    same="org",
                    or_all=True,
                ),
                "collabs": SetOf(
                    lambda values: or_(
                        _collaborations_of(Role.organization_id).meets(values),
                        and_(_is_default, exists().where(_collaboration.c.id.in_(values))),
                    )
                ),
                "rules": _rules(_role_rule.c.role_id == Role.id, *_in_role),
            },
        ),
        TableFacts(
            Task,
            Task.id,
            scalars={
                "id": Scalar(Task.id, always=True),
                "org": Scalar(Task.initiator_id),
                "image": Scalar(Task.image, of=str),
                "database": Scalar(Task.database, of=str),
                "run": Scalar(Task.run_id),
                "parent": Scalar(Task.parent_id),
                "keep_days": Scalar(Task.keep_days),
                "encrypted": _encrypted(Task.collaboration_id),
            },
            sets={
                **_starters(Task),
                **_in_collaboration(Task.collaboration_id),
                "owner_orgs": _one(Task.initiator_id, "org"),
                # A node that it is addressed to takes no tasks of them.
                "refused": SetOf(refused_users, _owners("user"), of=str, kind="user"),
            },
        ),
        TableFacts(
            Result,
            Result.id,
            scalars={
                "id": Scalar(Result.id, always=True),
                "org": Scalar(Result.organization_id),
                "status": Scalar(Result.status, of=str, words=tuple(ResultStatus)),
                "image": _value(_task.c.image, str, *_result_task),
                "run": _value(_task.c.run_id, int, *_result_task),
                "encrypted": _encrypted(Result.collaboration_id),
            },
            sets={
                **_through(_starters(_task.c), *_result_task),
                **_in_collaboration(Result.collaboration_id),
            },
        ),
        TableFacts(
            Port,
            Port.id,
            scalars={
                "id": Scalar(Port.id, always=True),
                "org": _value(_result.c.organization_id, int, *_port_result),
                "run": _value(_task.c.run_id, int, *_port_task),
            },
            sets={
                **_through(_starters(_task.c), *_port_task),
                **_through(_in_collaboration(_result.c.collaboration_id), *_port_result),
            },
        ),
        TableFacts(
            Study,
            Study.id,
            scalars={"id": Scalar(Study.id, always=True), "org": _nothing()},
            sets={
                **_NOBODYS,
                **_through({"orgs": SetOf(_study_member.c.organization_id.in_)}, _in_study),
                "collabs": _one(Study.collaboration_id),
            },
        ),
        TableFacts(
            CasbinRule,
            CasbinRule.id,
            scalars={
                "id": Scalar(CasbinRule.id),  # the policy as a whole has none
                "org": _nothing(),
            },
            sets={**_NOBODYS, "orgs": _none(), "collabs": _none()},
        ),
    )
}

SETS = frozenset(name for table in TABLES.values() for name in table.sets)
"""Names of set facts."""
NAMING = frozenset(name for table in TABLES.values() for name, s in table.sets.items() if s.kind)
"""Those of which the members are accounts, such as `user:5`."""

MODELS: dict[Resource, type[Base]] = {
    Resource.ORGANIZATION: Organization,
    Resource.COLLABORATION: Collaboration,
    Resource.NODE: Node,
    Resource.USER: User,
    Resource.ROLE: Role,
    Resource.TASK: Task,
    Resource.RESULT: Result,
    Resource.PORT: Port,
    Resource.STUDY: Study,
    Resource.POLICY: CasbinRule,
}
"""The table of each resource. `event` has none: it is decided on tasks, nodes and rooms."""
RESOURCES: dict[type[Base], Resource] = {model: resource for resource, model in MODELS.items()}

COMMON: dict[str, Fact] = {
    "id": Fact(),
    "owners": Fact(of=str, is_set=True),
    "owner_orgs": Fact(is_set=True),
    "org": Fact(),
    "orgs": Fact(is_set=True),
    "collabs": Fact(is_set=True),
}
"""Facts of every row, whatever its table, and of a socket room."""


WHOLE: Mapping[str, Any] = {name: fact.absent for name, fact in COMMON.items()}
"""Facts of a resource as a whole: what is asked when no single row is meant."""


_ROOM: Mapping[str, Fact] = {
    "id": Fact(never=True),
    "owners": Fact(of=str, is_set=True, never=True),
    "owner_orgs": Fact(is_set=True, same="org", at_most_one=True),
    "org": Fact(),
    "orgs": Fact(is_set=True, same="org", at_most_one=True),
    "collabs": Fact(is_set=True, of_those_in="orgs", at_most_one=True, always=True),
}
_TASK_OR_NODE: Mapping[str, Fact] = COMMON | {
    "owner_orgs": replace(COMMON["owner_orgs"], same="org", at_most_one=True),
    **{name: replace(COMMON[name], at_most_one=True) for name in ("owners", "collabs")},
}


# A row that is written is decided as it will stand, and a principal as it was: who makes the own
# organization a member does not take part yet, and a node that moves is not there.
_MEMBERS = {"orgs": replace(TABLES[Collaboration].sets["orgs"], of_those_in=None)}
_WRITTEN: Mapping[tuple[Resource, Operation | None], Mapping[str, Fact]] = {
    (Resource.COLLABORATION, Operation.CREATE): _MEMBERS,
    (Resource.COLLABORATION, Operation.EDIT): _MEMBERS,
    (Resource.NODE, Operation.EDIT): {"id": replace(TABLES[Node].scalars["id"], moving=True)},
}


def room_facts(collaboration_id: int, organization_id: int | None = None) -> dict[str, Any]:
    """Facts of the socket room of a collaboration, or of one organization in it."""
    given = {"org": organization_id, "collabs": frozenset({collaboration_id})}
    return {**WHOLE, **implied(_ROOM, given), **given}


def facts_of(resource: Resource, operation: Operation | None = None) -> Mapping[str, Fact]:
    """The facts that a condition on this resource may use.

    Rows of a resource without a table are rooms, which are viewed, and tasks and nodes.
    """
    if resource in MODELS:
        return {**TABLES[MODELS[resource]].facts, **_WRITTEN.get((resource, operation), {})}
    if operation is None:
        return COMMON
    return _ROOM if operation is Operation.VIEW else _TASK_OR_NODE
