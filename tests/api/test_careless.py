"""An endpoint that asks nobody, and writes however it likes, stores nothing.

It is a real endpoint of a real application; only what it writes is made up here.
"""

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

import pytest
from flask import Flask
from flask.views import MethodView
from sqlalchemy import delete, func, insert, select, text, update

from tests.support import Caller
from tests.world import World
from v6srv.api import guard
from v6srv.authz.principal import Principal
from v6srv.authz.unit_of_work import settle
from v6srv.db import Base, session
from v6srv.errors import Denied
from v6srv.model import (
    CasbinRule,
    Collaboration,
    Member,
    Node,
    NodeConfig,
    Organization,
    Outbox,
    Permission,
    PolicyVersion,
    Port,
    Result,
    Role,
    RoleRule,
    Rule,
    Task,
    User,
    UserPermission,
)
from v6srv.vocabulary import Operation, Resource

Write = Callable[[World], object]


def _add(world: World) -> None:
    session.add(Organization(name="mine"))


def _rename_a_user(world: World) -> None:
    session.get_one(User, world.user.viewer).username = "mine"


def _take_over_by_mail(world: World) -> None:
    session.get_one(User, world.user.extra).email = "mine@north.example"


def _take_over_by_password(world: World) -> None:
    session.get_one(User, world.user.second_root).password = "$2b$04$" + "a" * 53


def _delete_a_user(world: World) -> None:
    session.delete(session.get_one(User, world.user.extra))


def _give_a_foreign_role(world: World) -> None:
    helpers = session.get_one(Role, world.role.helpers)  # all of it is the admin's, too
    viewer = session.get_one(User, world.user.viewer)
    viewer.roles.append(helpers)


def _give_a_strong_role(world: World) -> None:
    viewer = session.get_one(User, world.user.viewer)
    viewer.roles = [session.get_one(Role, world.role.collab_admin)]


def _take_a_strong_role(world: World) -> None:
    session.get_one(User, world.user.second_root).roles = []


def _take_an_extra_rule(world: World) -> None:
    session.get_one(User, world.user.extra).rules = []


def _make_a_strong_user(world: World) -> None:
    north = session.get_one(Organization, world.org.north)
    rule = session.get_one(Rule, world.rule["task", "GLOBAL", "VIEW"])
    session.add(User(username="mine", organization=north, rules=[rule]))


def _make_a_strong_role(world: World) -> None:
    north = session.get_one(Organization, world.org.north)
    rule = session.get_one(Rule, world.rule["task", "GLOBAL", "VIEW"])
    session.add(Role(name="mine", organization=north, rules=[rule]))


def _change_a_default_role(world: World) -> None:
    session.get_one(Role, world.role.viewer).description = "mine"


def _fill_a_default_role(world: World) -> None:
    rule = session.get_one(Rule, world.rule["task", "ORGANIZATION", "VIEW"])
    session.get_one(Role, world.role.viewer).rules = [rule]


def _delete_a_default_role(world: World) -> None:
    session.delete(session.get_one(Role, world.role.viewer))


def _make_a_default_role(world: World) -> None:
    session.get_one(Role, world.role.empty).slug = "mine"


def _add_and_commit(world: World) -> None:
    _add(world)
    session.commit()


def _add_and_forget(world: World) -> None:
    mine = Organization(name="mine")
    session.add(mine)
    session.flush()
    session.expunge(mine)


def _add_elsewhere(world: World) -> None:
    with session.session_factory() as own:
        own.add(Organization(name="mine"))
        own.commit()


def _add_in_a_savepoint(world: World) -> None:
    with session.begin_nested():
        _add(world)


def _deny_and_go_on(world: World) -> None:
    _add(world)
    with suppress(Denied):
        settle()


def _change(world: World) -> None:
    session.get_one(Organization, world.org.south).name = "ours"


def _change_and_deny_and_go_on(world: World) -> None:
    _change(world)
    with suppress(Denied):
        session.flush()


def _change_another(world: World) -> None:
    session.get_one(User, world.user.second_root).email = "mine@north.example"


def _end_tokens(world: World) -> None:
    session.get_one(User, world.user.second_root).end_tokens()


def _merge(world: World) -> None:
    session.merge(Organization(id=world.org.south, name="ours"))


def _remove(world: World) -> None:
    session.delete(session.get_one(Task, world.task.finished))


def _take_a_role(world: World) -> None:
    root = session.scalars(select(Role).where(Role.slug == "root")).one()
    viewer = session.get_one(User, world.user.viewer)
    viewer.roles.append(root)


def _give_a_role(world: World) -> None:
    """From the other side."""
    root = session.scalars(select(Role).where(Role.slug == "root")).one()
    root.users.append(session.get_one(User, world.user.viewer))


def _take_a_rule(world: World) -> None:
    viewer = session.get_one(User, world.user.viewer)
    viewer.rules.append(session.get_one(Rule, 1))


def _fill_a_role(world: World) -> None:
    session.get_one(Role, world.role.analysts).rules = list(session.scalars(select(Rule)))


def _join(world: World) -> None:
    trial = session.get_one(Collaboration, world.collab.trial)
    trial.organizations.append(session.get_one(Organization, world.org.north))


def _join_from_the_other_side(world: World) -> None:
    north = session.get_one(Organization, world.org.north)
    north.collaborations.append(session.get_one(Collaboration, world.collab.trial))


def _move_a_node(world: World) -> None:
    node = session.get_one(Node, world.node.south_trial)
    nothing = session.get_one(Collaboration, world.collab.nothing)
    nothing.nodes.append(node)


def _share(world: World) -> None:
    session.add(NodeConfig(node_id=world.node.south_trial, key="allowed_users", value="1"))


def _change_in_pieces(world: World) -> None:
    """The second piece is decided on a row that differs already."""
    north = session.get_one(Organization, world.org.north)
    north.name = "ours"
    session.flush()
    north.country = "France"


def _bulk_update(world: World) -> None:
    session.execute(update(Result).values(result="42"))


def _bulk_insert(world: World) -> None:
    session.execute(insert(Organization), [{"name": "mine"}])


def _core_insert(world: World) -> None:
    session.execute(insert(Permission).values(user_id=world.user.viewer, role_id=1))


def _core_delete(world: World) -> None:
    session.execute(delete(Member))


def _extra_rule(world: World) -> None:
    session.execute(insert(UserPermission).values(user_id=world.user.viewer, rule_id=1))


def _rule_of_a_role(world: World) -> None:
    session.execute(insert(RoleRule).values(role_id=world.role.analysts, rule_id=1))


def _line(world: World) -> None:
    values = ("kind:user", "*", "global", "*", "True", "allow")
    session.add(CasbinRule(ptype="p", **{f"v{at}": value for at, value in enumerate(values)}))


def _version(world: World) -> None:
    session.add(PolicyVersion(author="me", message="", digest="", files={}))


def _mappings(world: World) -> None:
    session().bulk_insert_mappings(Organization, [{"name": "mine"}])  # type: ignore[arg-type]


def _text(world: World) -> None:
    session.execute(text("UPDATE organization SET name = 'ours'"))


def _driver(world: World) -> None:
    session.connection().exec_driver_sql("update organization set name = 'ours'")


def _below_a_query(world: World) -> None:
    gone = delete(Port).returning(Port.id).cte("gone")
    session.execute(select(gone.c.id))


DENIED: tuple[Write, ...] = (
    _add,
    _add_and_commit,
    _add_and_forget,
    _add_in_a_savepoint,
    _deny_and_go_on,
    _change,
    _change_and_deny_and_go_on,
    _change_another,
    _end_tokens,
    _merge,
    _remove,
    _take_a_role,
    _give_a_role,
    _take_a_rule,
    _fill_a_role,
    _join,
    _join_from_the_other_side,
    _move_a_node,
    _line,
)
BEYOND_AN_ADMIN: tuple[Write, ...] = (
    _rename_a_user,
    _take_over_by_mail,
    _take_over_by_password,
    _delete_a_user,
    _give_a_foreign_role,
    _give_a_strong_role,
    _take_a_strong_role,
    _take_an_extra_rule,
    _make_a_strong_user,
    _make_a_strong_role,
    _change_a_default_role,
    _fill_a_default_role,
    _delete_a_default_role,
    _make_a_default_role,
    _take_a_rule,
    _fill_a_role,
)
"""In the own organization, where an Organization Admin manages users and roles."""

UNDECIDED: tuple[Write, ...] = (
    _add_elsewhere,
    _share,
    _change_in_pieces,
    _bulk_update,
    _bulk_insert,
    _core_insert,
    _core_delete,
    _extra_rule,
    _rule_of_a_role,
    _version,
    _mappings,
    _text,
    _driver,
    _below_a_query,
)


def add_endpoint(app: Flask, write: Write, world: World) -> None:
    """`POST /careless`: open to many, and asks nothing about what it writes."""

    class Careless(MethodView):
        @guard.some(Resource.ORGANIZATION, Operation.VIEW)
        def post(self, who: Principal) -> dict[str, str]:
            session.add(Outbox(process="x", event="careless", payload={}, rooms=[]))
            write(world)
            return {}

    app.add_url_rule("/api/careless", view_func=Careless.as_view("careless"))


def stored() -> dict[str, list[tuple[object, ...]]]:
    """Everything in the database, but for what is noted of every request."""
    tables = {name: one for name, one in Base.metadata.tables.items() if name != "server_process"}
    found = {}
    for name, table in tables.items():
        columns = [column for column in table.columns if column.name != "last_seen"]
        rows = session.execute(select(*columns)).all()
        found[name] = sorted(tuple(map(repr, row)) for row in rows)
    session.remove()
    return found  # type: ignore[return-value]


def _is_denied(app: Flask, call: Caller, world: World, who: str, write: Write) -> None:
    add_endpoint(app, write, world)
    before = stored()
    answer = call(who, "POST", "/careless")
    assert answer.status_code == 403, answer.text
    assert answer.json["decision_id"]
    assert stored() == before


@pytest.mark.parametrize("write", DENIED, ids=lambda write: write.__name__)
def test_what_the_policy_does_not_grant_is_not_stored(
    app: Flask, call: Caller, world: World, write: Write
) -> None:
    _is_denied(app, call, world, "viewer", write)


@pytest.mark.parametrize("write", BEYOND_AN_ADMIN, ids=lambda write: write.__name__)
def test_an_admin_has_no_power_over_who_holds_more(
    app: Flask, call: Caller, world: World, write: Write
) -> None:
    """By lines alone: no service has a say here."""
    _is_denied(app, call, world, "org_admin", write)


@pytest.mark.parametrize("write", UNDECIDED, ids=lambda write: write.__name__)
def test_what_passes_by_the_rows_is_not_stored_whoever_asks(
    app: Flask, call: Caller, world: World, write: Write
) -> None:
    """A mistake of this program, which its log tells; the caller gets no trace of it."""
    add_endpoint(app, write, world)
    if write is _below_a_query and session.get_bind().dialect.name == "sqlite":
        pytest.skip("SQLite has no such statement")
    before = stored()
    answer = call("root", "POST", "/careless")
    assert answer.status_code == 500, answer.text
    assert "Undecided" not in answer.text
    assert "organization" not in answer.text
    assert stored() == before


@pytest.mark.parametrize("write", [_add_and_commit, _change, _take_a_role, _join, _remove])
def test_what_the_policy_grants_is_stored_and_raises_the_revision(
    app: Flask, call: Caller, world: World, write: Write
) -> None:
    add_endpoint(app, write, world)
    before = stored()
    assert call("root", "POST", "/careless").status_code == 200
    after = stored()
    assert after != before
    moved = after["policy_revision"] != before["policy_revision"]
    assert moved is (write in (_take_a_role, _join))


def test_a_caller_that_only_reads_writes_nothing(app: Flask, call: Caller, world: World) -> None:
    """A GET never commits by itself; one that does is decided all the same."""

    class Reads(MethodView):
        @guard.some(Resource.ORGANIZATION, Operation.VIEW)
        def get(self, who: Principal) -> dict[str, str]:
            _add_and_commit(world)
            return {}

    app.add_url_rule("/api/careless", view_func=Reads.as_view("careless"))
    assert call("viewer", "GET", "/careless").status_code == 403
    assert session.scalar(select(func.count()).where(Organization.name == "mine")) == 0


def test_nobody_writes_where_nobody_has_to_say_who(app: Flask, call: Caller, world: World) -> None:
    class Open(MethodView):
        @guard.anyone("it asks nobody")
        def post(self) -> dict[str, str]:
            _add_and_commit(world)
            return {}

    app.add_url_rule("/api/careless", view_func=Open.as_view("careless"))
    assert call(None, "POST", "/careless").status_code == 500
    assert session.scalar(select(func.count()).where(Organization.name == "mine")) == 0


@pytest.mark.parametrize("more", ["", "import v6srv.app\n"], ids=["bare", "with all"])
def test_a_script_writes_as_it_likes_and_running_servers_follow(
    app: Flask, call: Caller, world: World, more: str
) -> None:
    """docs/reference/seed-map.md: `save` is all that a script needs to know."""
    uri = app.config["SETTINGS"].uri
    text = (
        f"{more}from v6srv import db\nfrom v6srv.model import Role\ndb.connect({uri!r})\n"
        f"role = Role.get({world.role.analysts})\nrole.rules = []\nrole.save()\n"
    )
    assert call("analyst", "GET", "/task").status_code == 200
    subprocess.run([sys.executable, "-c", text], check=True, timeout=60)
    assert call("analyst", "GET", "/task").status_code == 403
