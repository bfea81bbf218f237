"""What must be there before the server can serve: policies, tables, rules, roles, a first account.

Everything here can be repeated at each start, and by several processes at once.
"""

import fcntl
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from sqlalchemy import delete, exists, insert, select
from sqlalchemy.orm import Session

from v6srv import migrations, names, private_files
from v6srv.authz.line import Line
from v6srv.authz.rules import DECLARED, DEFAULT_ROLES
from v6srv.authz.source.folder import digest, read_files, read_texts, shipped_texts, write_files
from v6srv.authz.source.load import assemble, grants_of, lines_in, parse_files
from v6srv.authz.source.unreachable import unknown_scopes
from v6srv.authz.unit_of_work import ServerWrite, as_server
from v6srv.db import let_go, make_engine, session, transaction, wait_for_others
from v6srv.errors import Invalid
from v6srv.model import Organization, PolicyRevision, Role, RoleRule, Rule, User
from v6srv.model.checks import complete_keys
from v6srv.service import policy_versions
from v6srv.settings import Settings
from v6srv.vocabulary import Operation, Scope

log = logging.getLogger(__name__)


ROOT = "root"
"""Name of the first organization and of the first user."""

_LOCK = 0x7636_7373
"""Key of the PostgreSQL advisory lock of what is declared; migrations have their own."""


Grant = tuple[str, Scope, Operation]
"""What a rule is about: resource, scope, operation."""

Grants = Mapping[str, Collection[Grant]]
"""What each default role holds, by slug."""


class Passwords(Protocol):
    """What the first account needs of `passwords`, a layer above this one."""

    def hash_password(self, text: str, /) -> str:
        """A hash to store."""

    def password_problem(self, text: str, /) -> str | None:
        """The first password rule that `text` breaks."""

    def generate(self) -> str:
        """A password that breaks none."""


def prepare(settings: Settings, passwords: Passwords) -> str | None:
    """Make everything ready to serve with these settings.

    Returns the password of the user `root` if it was generated now: show it once, only its hash is
    stored. Raises PolicyError, before the database is touched, when the policies are not valid.
    """
    for remark in settings.remarks:
        log.warning("%s", remark)
    with alone(settings.instance):
        install_policies(settings.policies)
        private_files.warn_of_writable([settings.policies, *settings.policies.rglob("*")])
        files = read_files(settings.policies)
        policy = parse_files(files)
        definition, lines, problems = policy
        _warn_of_what_is_missing(lines)
        # What could not go live must not leave a database behind.
        version = assemble(definition, lines, (), 0, problems)
        for problem in unknown_scopes(version):
            log.warning("%s", problem)
        grants = grants_of(policy)
        migrations.upgrade(settings.uri)
        engine = make_engine(settings.uri)
        try:
            with session.session_factory(bind=engine) as sess:
                return _seed(sess, grants, files, settings, passwords)
        finally:
            engine.dispose()


def install_policies(folder: Path) -> None:
    """Copy the policies that come with the server, unless the folder has policies already.

    A folder with any policy file is an admin's: nothing is added to it, so a removed default line
    does not come back. All are copied or none: a part would be an admin's policy from then on.
    """
    if any(folder.glob("*.conf")) or any(folder.glob("*.csv")):
        return
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    write_files(folder, read_files(folder) | shipped_texts())
    log.info("the default policies were copied to %s", folder)


def _warn_of_what_is_missing(lines: Iterable[Line]) -> None:
    """Say what this release denies and the folder does not: a copy of older files lets more.

    And which scopes it does not know: rules of such a scope grant nothing.
    """
    for what, texts in missing_of_release(lines).items():
        if texts:
            log.warning(
                "the policy folder does not have %d of the %s that come with this release; unless"
                " that is on purpose, add them:\n%s",
                len(texts),
                what,
                "\n".join(texts),
            )


def missing_of_release(lines: Iterable[Line]) -> dict[str, list[str]]:
    """What lets a folder with these lines allow more than this release does, by what it is."""
    shipped, _ = lines_in(shipped_texts())
    present = {(line.ptype, line.values) for line in lines}
    absent = [line for line in shipped if (line.ptype, line.values) not in present]
    return {
        "denials": [str(line) for line in absent if "deny" in line.values],
        "lines on scopes": [str(line) for line in absent if line.ptype == "g2"],
    }


def _seed(
    sess: Session,
    grants: Grants,
    files: Mapping[str, str],
    settings: Settings,
    passwords: Passwords,
) -> str | None:
    """Rules, default roles, policy revision and, into an empty user table, `root`: one transaction.

    Returns the password of `root` if it was generated.
    """
    password, stored, generated = None, None, False
    if not sess.scalar(select(exists(select(User.id)))):
        let_go(sess)  # hashing is slow: no transaction waits for it
        password, generated = _first_password(settings, passwords)
        stored = passwords.hash_password(password)
    with as_server(ServerWrite.SETUP), transaction(sess):
        wait_for_others(sess, _LOCK)
        _complete_rules(sess)
        complete_roles(sess, grants)
        for clash in complete_keys(sess):
            log.warning("%s", clash)
        if sess.get(PolicyRevision, 1) is None:
            sess.add(PolicyRevision(id=1))
        policy_versions.record(sess, files, policy_versions.SERVER, "found at start")
        if stored is None or sess.scalar(select(exists(select(User.id)))):
            return None
        _create_root(sess, settings.root_email, stored)
    return password if generated else None


def follow_policy_files(folder: Path, live: Mapping[str, str]) -> None:
    """Make the default roles hold what the files that went live grant, and note these as a version.

    For servers that are running, in its own transaction: the files changed, not a request. Where
    somebody has noted meanwhile what the folder holds now, this is too late and does nothing: those
    files go live next.
    """
    grants = grants_of(parse_files(live))
    with declaring() as sess:
        noted, now = policy_versions.newest(sess), digest(read_texts(folder)[0])
        superseded = noted is not None and digest(live) != now == noted.digest
        if not superseded:
            declare(sess, grants)
            policy_versions.record(sess, live, policy_versions.SERVER, "changed on disk")


@contextmanager
def declaring() -> Iterator[Session]:
    """A transaction in which no other process writes what is declared, or a version of the policy.

    It commits at its end. Whoever comes meanwhile waits, and reads what was committed.
    """
    with as_server(ServerWrite.SETUP), transaction() as sess:
        wait_for_others(sess, _LOCK)
        yield sess


def declare(sess: Session, grants: Grants) -> None:
    """Make the default roles hold what policy files grant; processes that run hear of it."""
    complete_roles(sess, grants)


def _complete_rules(sess: Session) -> None:
    """Add the declared rules that are missing, in their order."""
    known = {(rule.name, rule.scope, rule.operation): rule for rule in sess.scalars(select(Rule))}
    for declared in DECLARED:
        rule = known.get((declared.resource, declared.scope, declared.operation))
        if rule is None:
            rule = Rule(
                name=declared.resource.value, scope=declared.scope, operation=declared.operation
            )
            sess.add(rule)
        rule.description = declared.description
    sess.flush()


def complete_roles(sess: Session, grants: Grants) -> None:
    """Make the default roles hold what the policy files grant (Q-61).

    A server-wide role that has the name of a default role becomes it: 3.x knew them by name.
    """
    server_wide = list(sess.scalars(select(Role).where(Role.organization_id.is_(None))))
    by_slug = {role.slug: role for role in server_wide}
    by_name = {role.name: role for role in server_wide if role.slug is None}
    for declared in DEFAULT_ROLES:
        role = by_slug.get(declared.slug) or by_name.get(declared.name) or Role()
        role.slug, role.name = declared.slug, declared.name
        role.description = declared.description
        sess.add(role)
        sess.flush()  # one by one: ids in the order of declaration
        _hold(sess, role, grants[declared.slug])


def _hold(sess: Session, role: Role, grants: Collection[Grant]) -> None:
    """Let a role hold exactly these rules."""
    wanted = {
        rule.id
        for rule in sess.scalars(select(Rule))
        if (rule.name, rule.scope, rule.operation) in grants
    }
    held = set(sess.scalars(select(RoleRule.c.rule_id).where(RoleRule.c.role_id == role.id)))
    if held - wanted:
        sess.execute(
            delete(RoleRule).where(
                RoleRule.c.role_id == role.id, RoleRule.c.rule_id.in_(held - wanted)
            )
        )
    if wanted - held:
        rows = [{"role_id": role.id, "rule_id": id} for id in sorted(wanted - held)]
        sess.execute(insert(RoleRule), rows)


def _create_root(sess: Session, email: str, password_hash: str) -> None:
    for [fault] in names.faults("user", {"email": email}).values():
        raise Invalid(f"The setting root_email, {email!r}: {fault}")
    organization = sess.scalar(
        select(Organization).where(Organization.name == ROOT).order_by(Organization.id).limit(1)
    )
    sess.add(
        User(
            username=ROOT,
            email=email,
            password=password_hash,
            organization=organization or Organization(name=ROOT),
            roles=[sess.scalars(select(Role).where(Role.slug == ROOT)).one()],
        )
    )


def _first_password(settings: Settings, passwords: Passwords) -> tuple[str, bool]:
    """The password of `root`, and whether it was generated."""
    if settings.root_password is not None:
        chosen = settings.root_password.get_secret_value()
        problem = passwords.password_problem(chosen)
        if problem is not None:
            log.warning("the first password of %s is weak: %s", ROOT, problem)
        return chosen, False
    return passwords.generate(), True


@contextmanager
def alone(instance: Path) -> Iterator[None]:
    """Wait until no other process of this machine prepares this instance, or restores it."""
    instance.mkdir(mode=0o750, parents=True, exist_ok=True)
    path = instance / ".setup.lock"
    with path.open("a") as file:
        private_files.close([path])
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
