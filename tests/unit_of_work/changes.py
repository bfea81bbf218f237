"""What differs between two states of a database, in the words of policies.

The words are written down here once more, and nothing of `v6srv.authz.fields` is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.unit_of_work.state import TABLES, Row, State

SAID: Mapping[str, Mapping[str, str]] = {
    "organization": {"_public_key": "public_key"},
    "node": {"key_digest": "api_key"},
}
"""Columns that are called otherwise."""
LINE_WORDS: Mapping[str, tuple[str, ...]] = {
    "p": ("subject", "resource", "scope", "operation", "condition", "effect"),
    "g": ("member", "role"),
}
"""What the columns `v0`, `v1`, ... of a line are called."""
FOLLOWING = frozenset(
    {"username_key", "email_key", "token_version", "kept_session", "author", "created_at", "type"}
)
"""Columns that have no word: that they change is an edit of nothing in particular."""
OWNED: Mapping[str, tuple[str, str, str]] = {
    "Member": ("collaboration", "collaboration_id", "organization_ids"),
    "StudyMember": ("study", "study_id", "organization_ids"),
    "Permission": ("user", "user_id", "roles"),
    "UserPermission": ("user", "user_id", "rules"),
    "role_rule_association": ("role", "role_id", "rules"),
    "nodeconfig": ("node", "node_id", "config"),
    "task_database": ("task", "task_id", "databases"),
    "algorithmstore": ("collaboration", "collaboration_id", "algorithm_stores"),
    "login_session": ("user", "account_id", "sessions"),
    "notification": ("user", "user_id", "notifications"),
}
"""Tables whose rows are a field of another row: resource, column of its id, and the field."""
FREE = frozenset(
    {
        "run",
        "outbox",
        "mail",
        "one_time_password",
        "socket_connection",
        "server_process",
        "policy_revision",
    }
)
"""Numbers, events, mails, sockets and processes: nothing that a policy speaks of."""


@dataclass
class Change:
    """One row that is new, gone or different."""

    resource: str
    id: int
    operation: str
    fields: set[str] = field(default_factory=set)
    """Of an edit: the words of what differs."""

    def __str__(self) -> str:
        fields = f" of {', '.join(sorted(self.fields))}" if self.fields else ""
        return f"{self.operation} of {self.resource} {self.id}{fields}"


def changes(before: State, after: State) -> list[Change]:
    """Every row with facts that differs; what is owned counts as a field of its owner."""
    found: dict[tuple[str, int], Change] = {}
    for resource in TABLES:
        old, new = set(before.ids(resource)), set(after.ids(resource))
        for id in new - old:
            found[resource, id] = Change(resource, id, "create")
        for id in old - new:
            found[resource, id] = Change(resource, id, "delete")
        for id in old & new:
            columns = _differing(before.row(resource, id), after.row(resource, id))
            if columns:
                words = _words(resource, columns, after.row(resource, id))
                found[resource, id] = Change(resource, id, "edit", words)
    for table, (resource, column, word) in OWNED.items():
        for row in _rows_differing(before, after, table):
            if not _goes_with_another(after, table, row):
                id = row[column]
                change = found.setdefault((resource, id), Change(resource, id, "edit"))
                if change.operation == "edit":
                    change.fields.add(word)
    return list(found.values())


def unspeakable(before: State, after: State) -> list[str]:
    """Tables that differ and that no request may change."""
    known = {*TABLES.values(), "authenticatable", *OWNED, *FREE}
    return [
        table
        for table in before.tables
        if table not in known and before.tables[table] != after.tables[table]
    ]


def difference(before: State, after: State) -> list[str]:
    """Every table that differs at all, for requests that must change nothing."""
    return [table for table in before.tables if before.tables[table] != after.tables[table]]


def _differing(old: Row | None, new: Row | None) -> set[str]:
    assert old is not None
    assert new is not None
    return {column for column in old if old[column] != new[column]}


def _words(resource: str, columns: set[str], row: Row | None) -> set[str]:
    assert row is not None
    said = dict(SAID.get(resource, {}))
    if resource == "policy":
        said |= {f"v{number}": word for number, word in enumerate(LINE_WORDS[row["ptype"]])}
    words = {said.get(column, column) for column in columns - FOLLOWING}
    # All tokens end with a password or a key. Where neither is new somebody has ended sessions.
    return words or ({"sessions"} if "token_version" in columns else set())


def _rows_differing(before: State, after: State, table: str) -> list[Row]:
    old, new = before.tables[table], after.tables[table]
    gone = [row for key, row in old.items() if new.get(key) != row]
    return gone + [row for key, row in new.items() if old.get(key) != row]


def _goes_with_another(after: State, table: str, row: Row) -> bool:
    """A role that is removed leaves those who had it: that is no edit of them (contract, 3.9)."""
    return table == "Permission" and after.row("role", row["role_id"]) is None
