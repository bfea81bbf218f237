"""Organizations, collaborations, accounts, roles and rules, as an old database has them."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime

from v6srv.authz.rules import DEFAULT_ROLES
from v6srv.db import session, utcnow
from v6srv.errors import Invalid
from v6srv.model import (
    Account,
    Collaboration,
    Member,
    Node,
    NodeConfig,
    Organization,
    Permission,
    Role,
    RoleRule,
    User,
    UserPermission,
)
from v6srv.model.checks import complete_keys
from v6srv.service.takeover.copying import Copy, Pair, Row
from v6srv.service.takeover.rights import Pairs, Right, right, rules_here
from v6srv.service.takeover.source import require_unique


def organizations_and_collaborations(copy: Copy) -> set[Pair]:
    """Returns the pairs of an organization and a collaboration that it is in."""
    copy.write(Organization, copy.entities("organization"))
    rows = list(copy.entities("collaboration"))
    require_unique(rows, "collaborations", "name")
    copy.write(Collaboration, rows)
    pairs = copy.pairs("Member", "organization", "collaboration")
    copy.write(Member, ({"organization_id": one, "collaboration_id": two} for one, two in pairs))
    return set(pairs)


def accounts(copy: Copy, members: Collection[Pair], version: int) -> None:
    """Users and nodes. Tokens of the seed's root must not speak for whoever has its id now:
    all accounts begin with a later token version.
    """
    stored = {row["id"]: row for row in copy.entities("authenticatable")}
    users, nodes = ([*_known(copy, stored, kind)] for kind in ("user", "node"))
    both = {row["id"] for row in users} & {row["id"] for row in nodes}
    if both:
        raise Invalid(f"Both a user and a node of the source have the id {min(both)}")
    for column in ("username", "email"):
        require_unique(users, "users", column)
    kinds = {row["id"]: "user" for row in users} | {row["id"]: "node" for row in nodes}
    for id_ in sorted(stored.keys() - kinds.keys()):
        copy.leave_out("authenticatable", "without user or node", id_)
    copy.write(
        Account,
        [
            {
                **stored[id_],
                "type": kind,
                "status": stored[id_]["status"] and "offline",  # nobody is connected here
                "token_version": version,
            }
            for id_, kind in sorted(kinds.items())
        ],
    )
    copy.write(User, [_user(copy, row) for row in users])
    for clash in complete_keys(session()):
        copy.mend(
            f"user.{clash.column} is kept, but a new one is refused: it differs from another"
            " user's by case only",
            f"{clash.id} (as {clash.other_id})",
        )
    copy.write(Node, _nodes(copy, nodes, members))
    copy.write(NodeConfig, copy.parts("nodeconfig", "node_id", "node"))


def _known(copy: Copy, accounts: Collection[int], kind: str) -> Iterator[Row]:
    for row in copy.rows(kind):
        copy.claim("authenticatable", row["id"], f"Table {kind} of the source: the id")
        if row["id"] in accounts:
            yield row
        else:
            copy.leave_out(kind, "without authenticatable row", row["id"])


def _user(copy: Copy, row: Row) -> Row:
    copy.refer("user", row, "organization_id", "organization")
    secret = row["otp_secret"] or None
    if secret and len(secret) != 32:
        copy.mend("users whose 2FA secret cannot be used have to reset it", row["id"])
    attempt = row["last_login_attempt"]
    if attempt is not None:
        # 3.x stored the local time of the server: from east of Greenwich it would be in the
        # future, and lock the user out for longer than anybody asked for.
        attempt = min(_aware(attempt), utcnow())
    return {
        **row,
        "failed_login_attempts": row["failed_login_attempts"] or 0,
        "last_login_attempt": attempt,
        "otp_secret": secret,
        "otp_confirmed": secret is not None,
    }


def _nodes(copy: Copy, rows: Iterable[Row], members: Collection[Pair]) -> Iterator[Row]:
    """A node is in a collaboration of its organization, and its only one there: policies are
    checked and compared as if it was so. Others are taken out, of two the later one.
    """
    taken: dict[tuple[int, int], int] = {}
    for row in rows:
        copy.refer("node", row, "organization_id", "organization")
        copy.refer("node", row, "collaboration_id", "collaboration")
        place = row["organization_id"], row["collaboration_id"]
        if place[1] is not None and place not in members:
            row["collaboration_id"] = None
            copy.mend(
                f"organization {place[0]} is not in collaboration {place[1]}, its nodes were "
                "taken out of it",
                row["id"],
            )
        elif None not in place and taken.setdefault(place, row["id"]) != row["id"]:
            row["collaboration_id"] = None
            copy.mend(
                f"node {taken[place]} is the node of organization {place[0]} in collaboration "
                f"{place[1]}, others were taken out of it",
                row["id"],
            )
        yield {**row, "key_digest": None, "generation": copy.release.dialect}


def roles_and_rights(copy: Copy) -> tuple[dict[int, Right], Pairs, dict[int, str]]:
    """Write all roles, and all pairs once.

    What default roles hold is not copied: the policy files say it. Returns what `differences` asks
    for: the rights of the source by the ids of its rules, its pairs that decide about rights, and
    the names of default roles.
    """
    defaults = _roles(copy)
    rights, ours = _rights_of_source(copy), rules_here()
    copy.ids["rule"] = set(rights)
    held = copy.pairs("Permission", "user", "role")
    copy.write(Permission, [{"user_id": one, "role_id": two} for one, two in held])
    extra = copy.pairs("UserPermission", "user", "rule")
    copy.write(UserPermission, _mapped(extra, "user_id", rights, ours))
    granted = copy.pairs("role_rule_association", "role", "rule")
    custom = [pair for pair in granted if pair[0] not in defaults]
    copy.write(RoleRule, _mapped(custom, "role_id", rights, ours))
    return rights, {"held": held, "extra": extra, "granted": granted}, defaults


def _roles(copy: Copy) -> dict[int, str]:
    """Write all roles; the names of those that are default roles, by id."""
    slugs = {role.name: role.slug for role in DEFAULT_ROLES}
    defaults: dict[int, str] = {}
    rows = []
    for row in copy.entities("role"):
        slug = slugs.get(row["name"]) if row["organization_id"] is None else None
        if slug and row["name"] in defaults.values():
            copy.mend(f"there is a second role {row['name']}, kept as a custom role", row["id"])
            slug = None
        elif slug:
            defaults[row["id"]] = row["name"]
        if row["organization_id"] is not None and row["name"] in slugs:
            copy.mend("role.name is kept, but is reserved for a default role", row["id"])
        copy.refer("role", row, "organization_id", "organization")
        rows.append({**row, "slug": slug})
    copy.write(Role, rows)
    return defaults


def _rights_of_source(copy: Copy) -> dict[int, Right]:
    """The rights behind the rule ids of the source; in its own words when unknown here."""
    found = {}
    for row in copy.rows("rule"):
        name, operation, scope = (str(row[part]) for part in ("name", "operation", "scope"))
        rule = copy.release.rules.get((name, operation, scope))
        found[row["id"]] = (name, scope, operation) if rule is None else right(rule)
    return found


def _mapped(
    pairs: Iterable[tuple[int, int]],
    column: str,
    rules: Mapping[int, Right],
    ours: Mapping[Right, int],
) -> list[Row]:
    """Pairs of an owner and a rule of the source, with the ids that rules have here."""
    found = {(owner, ours[rules[rule]]) for owner, rule in pairs if rules[rule] in ours}
    return [{column: owner, "rule_id": rule} for owner, rule in sorted(found)]


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)
