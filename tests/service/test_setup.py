"""A fresh server has rules, default roles and root; a second start changes nothing."""

import csv
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from tests.forked import together
from v6srv import migrations, passwords
from v6srv.authz.principal import Principal
from v6srv.authz.rules import DECLARED, DEFAULT_ROLES, FINER_RULES, OWN_RULES, RULES
from v6srv.authz.source.load import build
from v6srv.authz.source.problems import PolicyError
from v6srv.db import make_engine
from v6srv.errors import Invalid
from v6srv.model import (
    Account,
    Organization,
    PolicyRevision,
    Role,
    RoleRule,
    Rule,
    User,
    UserPermission,
)
from v6srv.service import setup
from v6srv.settings import Settings
from v6srv.vocabulary import PrincipalKind, Scope

Make = Callable[..., Settings]


@pytest.fixture
def make(database_uri: str, tmp_path: Path) -> Make:
    """Settings for the empty database of this test, in an instance folder of its own."""
    passwords.configure(rounds=4)
    instance = tmp_path / "instance"

    def settings(**more: Any) -> Settings:
        values = {"policies": instance / "policies", **more}
        return Settings(instance=instance, uri=database_uri, **values)

    return settings


@pytest.fixture
def sess(database_uri: str) -> Iterator[Session]:
    engine = make_engine(database_uri)
    with Session(engine) as opened:
        yield opened
    engine.dispose()


def _held(sess: Session) -> set[tuple[str, str, str, str]]:
    rows = sess.execute(
        select(Role.name, Rule.name, Rule.scope, Rule.operation)
        .join(RoleRule, RoleRule.c.role_id == Role.id)
        .join(Rule, Rule.id == RoleRule.c.rule_id)
    )
    return {(role, rule, scope.name, operation.name) for role, rule, scope, operation in rows}


def _of_3x(held: set[tuple[str, str, str, str]]) -> set[tuple[str, str, str, str]]:
    known = {tuple(word.upper() for word in rule.key) for rule in RULES}
    return {row for row in held if tuple(word.upper() for word in row[1:]) in known}


def test_a_fresh_server(make: Make, sess: Session) -> None:
    """All declared rules in their order, seven roles, organization and user root."""
    assert setup.prepare(make(root_password="Giv3n-Pass!"), passwords) is None
    rules = sess.scalars(select(Rule).order_by(Rule.id)).all()
    assert [(r.id, r.name, r.scope, r.operation) for r in rules] == [
        (number, declared.resource, declared.scope, declared.operation)
        for number, declared in enumerate(DECLARED, 1)
    ]
    assert len(rules) == len(DECLARED)
    roles = sess.scalars(select(Role).order_by(Role.id)).all()
    assert [role.id for role in roles] == [1, 2, 3, 4, 5, 6, 7]
    assert [role.name for role in roles] == [role.name for role in DEFAULT_ROLES]
    assert [role.organization_id for role in roles] == [None] * 7
    assert [role.slug for role in roles] == [
        *("root", "container", "node", "viewer", "researcher", "org_admin", "collab_admin")
    ]
    (root,) = sess.scalars(select(User))
    assert (root.id, root.username, root.email) == (1, "root", "root@domain.ext")
    assert root.roles == [roles[0]]
    assert root.organization is not None
    assert (root.organization.id, root.organization.name) == (1, "root")
    assert passwords.check_password("Giv3n-Pass!", root.password)
    assert sess.scalars(select(PolicyRevision.id)).all() == [1]


def test_the_default_roles_are_those_of_the_contract(make: Make, sess: Session) -> None:
    """As many rules for each role as `default_roles.csv` of the contract lists: 156."""
    setup.prepare(make(), passwords)
    held = _of_3x(_held(sess))
    counts = {
        name: sum(row[0] == name for row in held) for name in (one.name for one in DEFAULT_ROLES)
    }
    assert counts == {
        "Root": 53,
        "container": 7,
        "node": 9,
        "Viewer": 12,
        "Researcher": 14,
        "Organization Admin": 24,
        "Collaboration Admin": 37,
    }
    contract = Path(__file__).parents[1] / "contract" / "default_roles.csv"
    with contract.open(newline="") as file:
        assert held == {tuple(row.values()) for row in csv.DictReader(file)}


def test_a_generated_password_is_told_once(make: Make, sess: Session) -> None:
    """It keeps the password rules, and only its hash is stored."""
    password = setup.prepare(make(), passwords)
    assert password is not None
    assert passwords.password_problem(password) is None
    root = sess.scalars(select(User)).one()
    assert root.password is not None
    assert password not in root.password
    assert passwords.check_password(password, root.password)
    sess.rollback()
    assert setup.prepare(make(), passwords) is None
    sess.expire_all()
    assert passwords.check_password(password, sess.scalars(select(User)).one().password)


def test_a_weak_first_password_is_used_with_a_warning(
    make: Make, sess: Session, caplog: pytest.LogCaptureFixture
) -> None:
    """Set-ups of 3.x expect root/root; the password itself is not logged (A19)."""
    with caplog.at_level(logging.WARNING):
        setup.prepare(make(root_password="s3cret", root_email="me@here.example"), passwords)
    assert "weak" in caplog.text
    assert "s3cret" not in caplog.text
    root = sess.scalars(select(User)).one()
    assert root.email == "me@here.example"
    assert passwords.check_password("s3cret", root.password)


def test_the_address_of_root_is_one(make: Make, sess: Session) -> None:
    with pytest.raises(Invalid, match="The setting root_email, 'nobody': Not a valid email"):
        setup.prepare(make(root_email="nobody"), passwords)
    assert sess.scalars(select(User)).all() == []


def test_root_does_not_come_back(make: Make, sess: Session) -> None:
    """A14: renaming or deleting root does not open its first password again."""
    setup.prepare(make(), passwords)
    sess.execute(update(User).values(username="superuser"))
    sess.commit()
    assert setup.prepare(make(root_password="root"), passwords) is None
    assert sess.scalars(select(User.username)).all() == ["superuser"]


def test_without_any_user_root_comes_back(make: Make, sess: Session) -> None:
    """Somebody has to be able to log in; the organization is not made twice, the id not reused."""
    setup.prepare(make(), passwords)
    sess.execute(delete(User))
    sess.execute(delete(Account))
    sess.commit()
    assert setup.prepare(make(), passwords) is not None
    assert sess.scalars(select(User.id)).all() == [2]
    assert sess.scalars(select(Organization.id)).all() == [1]


def test_a_second_start_changes_nothing(make: Make, sess: Session) -> None:
    setup.prepare(make(), passwords)
    before = _held(sess), sess.execute(select(PolicyRevision.__table__)).all()
    sess.rollback()
    setup.prepare(make(), passwords)
    sess.expire_all()
    assert (_held(sess), sess.execute(select(PolicyRevision.__table__)).all()) == before


def test_default_roles_follow_the_policy_files(make: Make, sess: Session) -> None:
    """Q-61: what admins change in default_roles.csv shows in GET /role, and running servers hear."""
    settings = make()
    setup.prepare(settings, passwords)
    revision = sess.scalars(select(PolicyRevision.lines)).one()
    sess.rollback()
    file = settings.policies / "default_roles.csv"
    lines = [line for line in file.read_text().splitlines() if "viewer, port" not in line]
    lines.append("p, role:viewer, task, global, view, True, allow")
    lines.append("p, role:viewer, result, global, view, r.sub.org == 2, allow")
    file.write_text("\n".join(lines))
    setup.prepare(settings, passwords)
    viewer = {row[1:] for row in _held(sess) if row[0] == "Viewer"}
    assert ("port", "ORGANIZATION", "VIEW") not in viewer
    assert ("task", "GLOBAL", "VIEW") in viewer
    assert ("result", "GLOBAL", "VIEW") not in viewer
    assert ("task", "GLOBAL", "VIEW") in {row[1:] for row in _held(sess) if row[0] == "Researcher"}
    assert sess.scalars(select(PolicyRevision.lines)).one() > revision


def test_missing_rules_and_roles_are_added_and_others_are_kept(make: Make, sess: Session) -> None:
    """A database of an older server, or of 3.x where default roles were known by name."""
    setup.prepare(make(), passwords)
    gone = sess.scalars(select(Rule).where(Rule.name == "port")).all()
    for rule in gone:
        sess.delete(rule)
    viewer = sess.scalars(select(Role).where(Role.slug == "viewer")).one()
    viewer.slug, viewer.description = None, "made by 3.x"
    sess.flush()  # until it is a default role again, others may have its name
    north = Organization(name="north")
    sess.add_all([north, Role(name="Viewer", organization=north)])
    viewer_id = viewer.id
    sess.commit()
    setup.prepare(make(), passwords)
    sess.expire_all()
    assert len(sess.scalars(select(Rule)).all()) == len(DECLARED)
    again = sess.scalars(select(Role).where(Role.slug == "viewer")).one()
    assert again.id == viewer_id
    assert len(sess.scalars(select(Role)).all()) == 8
    assert ("Viewer", "port", "ORGANIZATION", "VIEW") in _held(sess)


def test_a_database_of_the_release_before_gets_the_rules_of_4x(make: Make, sess: Session) -> None:
    """And loses them on the way back: that release cannot read them."""
    setup.prepare(make(), passwords)
    root = sess.scalars(select(User)).one()
    root.rules = list(sess.scalars(select(Rule).where(Rule.name == "task")))
    before, root_id = {rule.text for rule in root.rules}, root.id
    sess.commit()
    uri = make().uri
    migrations.downgrade(uri, "0011")
    sess.expire_all()
    old = [rule.text for rule in (*RULES, *OWN_RULES)]
    assert [rule.text for rule in sess.scalars(select(Rule).order_by(Rule.id))] == old
    # By the table: other columns of users are younger than that.
    own = select(Rule).join(UserPermission).where(UserPermission.c.user_id == root_id)
    assert {rule.text for rule in sess.scalars(own)} == before & {*old}
    assert len(_held(sess)) == 156
    sess.commit()
    setup.prepare(make(), passwords)
    sess.expire_all()
    assert {rule.text for rule in sess.scalars(select(Rule))} == {rule.text for rule in DECLARED}
    held = {tuple(word.lower() for word in row[1:]) for row in _held(sess) if row[0] == "Root"}
    assert held == {rule.key for rule in (*RULES, *FINER_RULES)}
    assert len(_of_3x(_held(sess))) == 156


def test_policies_of_an_admin_are_left_alone(make: Make) -> None:
    """The defaults are copied once; a line that was removed does not come back."""
    settings = make()
    setup.prepare(settings, passwords)
    file = settings.policies / "default_roles.csv"
    text = file.read_text()
    assert "role:viewer" in text
    renamed = file.rename(settings.policies / "ours.csv")
    renamed.write_text(text + "\n# ours\n")
    setup.prepare(settings, passwords)
    assert sorted(path.name for path in settings.policies.glob("*.c*")) == [
        "model.conf",
        "ours.csv",
    ]
    assert renamed.read_text().endswith("# ours\n")


def test_denials_that_a_copy_does_not_have_are_told(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    settings = make()
    setup.prepare(settings, passwords)
    assert "denials" not in caplog.text
    file = settings.policies / "default_roles.csv"
    gone = "p, kind:user, result, global, edit, True, deny"
    text = file.read_text()
    allowance = "p, role:viewer, port, organization, view, True, allow"
    kept = [one for one in text.splitlines() if " ".join(one.split()) not in (gone, allowance)]
    assert len(kept) == len(text.splitlines()) - 2
    file.write_text("\n".join(kept))
    setup.prepare(settings, passwords)
    assert "1 of the denials that come with this release" in caplog.text
    assert gone in caplog.text


def test_files_of_the_release_before_leave_root_its_power(
    make: Make, sess: Session, caplog: pytest.LogCaptureFixture
) -> None:
    """They do not know a scope: root holds no rule of it that it could not hand out."""
    settings = make()
    setup.install_policies(settings.policies)
    file = settings.policies / "default_roles.csv"
    new = "g2, organization,  own_organization\ng2, own_organization, own\n"
    text = file.read_text()
    assert new in text
    file.write_text(text.replace(new, "g2, organization,  own\n"))
    setup.prepare(settings, passwords)
    assert "2 of the lines on scopes that come with this release" in caplog.text
    held = {":".join(row[1:]).lower() for row in _held(sess) if row[0] == "Root"}
    root = Principal(PrincipalKind.USER, 1, 1, roles=("role:root",))
    lacks = build(settings.policies).lacks(root.facts)
    assert held.isdisjoint(lacks)
    assert lacks == {rule.text for rule in FINER_RULES if rule.scope is Scope.OWN_ORGANIZATION}


def test_a_model_of_the_release_before_is_told_with_the_line_that_it_lacks(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    settings = make()
    setup.install_policies(settings.policies)
    file = settings.policies / "model.conf"
    line = 'p.scope == "own_organization" && r.sub.org in r.obj.owner_orgs ||'
    text = file.read_text()
    assert text.count(f"     {line} \\\n") == 1
    file.write_text(text.replace(f"     {line} \\\n", ""))
    setup.prepare(settings, passwords)
    [told] = [one for one in caplog.messages if one.startswith("model.conf")]
    assert told.endswith(line)
    assert "task:own_organization:view" in told


def test_an_invalid_policy_stops_before_the_database(make: Make) -> None:
    settings = make()
    setup.install_policies(settings.policies)
    (settings.policies / "broken.csv").write_text('p, "role:viewer, task\n')
    with pytest.raises(PolicyError, match=r"broken\.csv:1"):
        setup.prepare(settings, passwords)
    assert migrations.current(settings.uri) is None


PREPARED = """
from pathlib import Path
import alembic.command
from v6srv import passwords
from v6srv.service import setup
from v6srv.settings import Settings

passwords.configure(rounds=4)
"""
PREPARING = """
uri, folder = sys.argv[1], Path(sys.argv[2 + number])
settings = Settings(instance=folder, policies=folder / "policies", uri=uri)
if made := setup.prepare(settings, passwords):
    print(made, flush=True)
"""


def test_many_at_once(make: Make, sess: Session) -> None:
    """Of processes that start together one makes root and knows its password."""
    settings = make()
    folders = [settings.instance] * 2 + [settings.instance.with_name(f"other{i}") for i in (1, 2)]
    told = together(PREPARED, PREPARING, settings.uri, *folders).splitlines()
    assert len(told) == 1
    assert passwords.check_password(told[0], sess.scalars(select(User.password)).one())
    assert len(sess.scalars(select(Rule)).all()) == len(DECLARED)
    assert len(sess.scalars(select(Role)).all()) == 7
    assert len(_of_3x(_held(sess))) == 156
